// What Gradio's components have no setting for.
() => {
  document.documentElement.lang = "en";
  const status = document.getElementById("status"); // read out when it changes
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
}
