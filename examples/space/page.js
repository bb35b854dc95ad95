// What Gradio's components have no setting for: what a screen reader and the keyboard need.
() => {
  document.documentElement.lang = "en";
  const status = document.getElementById("status"); // read out when it changes
  status.setAttribute("role", "status");
  const mend = () => {
    for (const group of document.querySelectorAll("fieldset")) {
      const title = group.querySelector("[data-testid=block-info]");
      group.setAttribute("role", "radiogroup");
      group.setAttribute("aria-label", title ? title.textContent.trim() : "");
      // One name for all buttons of a group: then the arrow keys move between them.
      const radios = [...group.querySelectorAll("input[type=radio]")];
      for (const radio of radios) if (radio.name !== radios[0].name) radio.name = radios[0].name;
    }
    for (const head of document.querySelectorAll(".gr-accordion > button"))
      head.setAttribute("aria-expanded", String(head.nextElementSibling?.style.display !== "none"));
  };
  mend();
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true, attributeFilter: ["style"] });
}
