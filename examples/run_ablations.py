"""
Trains, evaluates and compares the runs of a YAML file, each with an equal share of one budget of training time:

    python examples/run_ablations.py --config examples/configs/ablations-cf.yaml --set data=data/prepared \\
        --budget_minutes 60
    python examples/run_ablations.py --config examples/configs/ablations-cf.yaml --set data=data/prepared --list

Written to the folder: `table.md`, `results.json` and `plot.png`. Every job (a script with its arguments, for one
training seed) has a folder of its own there, named by a digest of its arguments and of the files that it reads. Run
the same command again after an interruption of any kind: finished jobs are skipped, others go on from their last
checkpoint, and what the YAML defines anew runs again. The keys of the YAML: docs/training.md.
"""

import argparse
import json
import random
import re
import shlex
import shutil
import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ablations.jobs import Interrupted, JobFailed, Workspace, command_line, read_json, step_seconds, write_json
from ablations.plan import NOMINAL_STEPS, Job, Plan, Run
from ablations.report import draw, find_paper_score, import_pyplot, render, summarize

from codefusion_hf.data.benchmarks import read_jsonl


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="YAML file of the runs.")
    parser.add_argument("--output_dir", help="New, or that of earlier calls; by default runs/NAME OF THE YAML.")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="Variables of the YAML, or files it would prepare.",
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--budget_minutes", type=float, help="Training time of the whole table; by default that of the last call."
    )
    budget.add_argument("--max_train_steps", type=int, help="Instead: the same number of steps for every run.")
    parser.add_argument("--launcher", default="", help='Before the training scripts, e.g. "accelerate launch".')
    parser.add_argument("--only", nargs="+", metavar="NAME", help="Runs to do; the table keeps what others have.")
    parser.add_argument("--list", action="store_true", help="Show the runs and their state, and do nothing.")
    parser.add_argument("--recalibrate", action="store_true", help="Measure the seconds per step anew.")
    args = parser.parse_args()

    out = Path(args.output_dir or Path("runs") / Path(args.config).stem)
    for name, value in (("budget_minutes", args.budget_minutes), ("max_train_steps", args.max_train_steps)):
        if value is not None and value <= 0:
            raise ValueError(f"--{name} must be above 0, got {value:g}")
    variables = {}
    for item in args.set:
        name, found, variables[name] = item.partition("=")
        if not found:
            raise ValueError(f"--set takes NAME=PATH, got {item!r}")
    plan = Plan(Path(args.config), variables, out, args.launcher)
    chosen = [plan.run(name) for name in args.only or plan.runs]

    workspace = Workspace(out, args.launcher)
    with ExitStack() as stack:
        if not args.list:
            import_pyplot()  # now, not after an hour of training
            stack.enter_context(workspace)
        if args.recalibrate:
            workspace.state.pop("calibration", None)
            workspace.state.pop("shares", None)
        experiment = Experiment(plan, workspace, args.budget_minutes, args.max_train_steps)
        if args.list:
            experiment.show()
            return 0
        return experiment.carry_out(chosen)


class Experiment:
    """
    A plan and how far it has come.

    Args:
        plan (`Plan`): The YAML.
        workspace (`Workspace`): The folder, with the state of earlier calls.
        budget_minutes (`float`, *optional*), max_train_steps (`int`, *optional*): One of them; by default the earlier
            calls'.

    Raises:
        ValueError: without a budget.
    """

    def __init__(self, plan: Plan, workspace: Workspace, budget_minutes: float | None, max_train_steps: int | None):
        self.plan, self.workspace, self.state = plan, workspace, workspace.state
        if budget_minutes or max_train_steps:
            self.state["budget"] = {"minutes": budget_minutes, "steps": max_train_steps}
        if "budget" not in self.state:
            raise ValueError("give --budget_minutes, or --max_train_steps")
        self.budget, self.warned = self.state["budget"], False
        self.expected: dict[Job, float] = {}  # seconds
        self.samples: dict[str, str] = {}  # of training files

    # How many steps

    def share_seconds(self) -> float:
        """
        Training time of one run and seed. Kept in the state: were a run added later, a new division would change the
        steps of all others.
        """
        nominal = {run.name: dict.fromkeys(self.plan.shares(run), NOMINAL_STEPS) for run in self.plan.runs.values()}
        trained = [run for run in self.plan.runs.values() if nominal[run.name]]
        number = len({self.plan.training(run, nominal[run.name], seed) for run in trained for seed in self.plan.seeds})
        minutes = self.budget["minutes"]
        share = self.state.setdefault("shares", {}).setdefault(
            f"{minutes:g}", {"trainings": number, "seconds": 60 * minutes / max(1, number)}
        )
        if share["trainings"] != number and not self.warned:
            self.warned = True
            print(
                f"{minutes:g} minutes were divided among {share['trainings']} trainings, now there are {number}: each "
                f"still gets {share['seconds'] / 60:.2f} minutes (--recalibrate divides anew)"
            )
        return share["seconds"]

    def steps(self, run: Run) -> dict[str, int] | None:
        """Steps of each trained stage; `None` if one of them has not been timed yet."""
        shares = self.plan.shares(run)
        if self.budget["steps"]:
            return {name: max(1, round(share * self.budget["steps"])) for name, share in shares.items()}
        timed = self.state.setdefault("calibration", {})
        variants = {name: self.plan.variant(run, name).digest for name in shares}
        if not set(variants.values()) <= set(timed):
            return None
        seconds = {name: share * self.share_seconds() for name, share in shares.items()}
        return {name: max(1, round(seconds[name] / timed[variants[name]]["seconds_per_step"])) for name in shares}

    def calibrate(self, runs: list[Run]) -> None:
        """
        Times a few steps of every kind of stage, in rounds, so that a noisy neighbour meets all of them; records the
        median of the logged windows after the warm-up, and their quartiles.
        """
        options, timed = self.plan.calibration, self.state.setdefault("calibration", {})
        variants: dict[str, tuple[Job, list[Run]]] = {}
        for run in runs:
            for name in self.plan.shares(run):
                job = self.plan.variant(run, name)
                if job.digest not in timed:
                    variants.setdefault(job.digest, (job, []))[1].append(run)
        windows: dict[str, list[float]] = {key: [] for key in variants}
        for number in range(options["rounds"]):
            for key, (job, of) in list(variants.items()):
                print(f"timing {job.name} of {of[0].name}, round {number + 1} of {options['rounds']}", flush=True)
                sample = replace(job, name="timing", arguments=self.sampled(job.arguments))
                try:
                    self.workspace.run(sample, self.plan.resolve, resumable=False)
                    pieces, _ = step_seconds(self.workspace.out / sample.folder)
                    windows[key] += [each for _, each in pieces[options["warmup_steps"] // options["window"] :]]
                except JobFailed as error:
                    del variants[key]
                    for run in of:
                        self.fail(run, f"timing its stage {job.name}: {error}")
                shutil.rmtree(self.workspace.out / sample.folder, ignore_errors=True)
        for key, (job, of) in variants.items():
            low, median, high = statistics.quantiles(windows[key], n=4, method="inclusive")
            timed[key] = {"stage": f"{job.name} of {of[0].name}", "seconds_per_step": median}
            timed[key] |= {"quartiles": [low, high], "windows": len(windows[key])}
            print(f"{timed[key]['stage']}: {median:.3f} s a step (quartiles {low:.3f} and {high:.3f})")
        self.workspace.save_state()

    def sampled(self, arguments: dict) -> dict:
        """The arguments with samples in place of large training files, which take longer to read than the steps."""
        for template in arguments["train_file"]:
            if template in self.samples:
                continue
            rows, rng = [], random.Random(0)
            for number, row in enumerate(read_jsonl(self.plan.resolve(template))):
                if len(rows) < self.plan.calibration["max_rows"]:
                    rows.append(row)
                elif (place := rng.randrange(number + 1)) < len(rows):
                    rows[place] = row
            sample = self.workspace.out / "samples" / f"{len(self.samples)}.jsonl"
            sample.parent.mkdir(exist_ok=True)
            sample.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            self.samples[template] = str(sample)
        files = [self.samples[template] for template in arguments["train_file"]]
        return {**arguments, "train_file": files}

    # The work

    def carry_out(self, chosen: list[Run]) -> int:
        """Does what is to be done for some runs, and writes the report; returns the exit status."""
        for job in self.plan.prepared.values():
            if not self.workspace.done(job):
                print(f"preparing {job.name}", flush=True)
                self.workspace.run(job, self.plan.resolve, resumable=False)
        self.state["failed"] = {k: v for k, v in self.state.get("failed", {}).items() if k not in names_of(chosen)}
        if self.budget["minutes"]:
            self.calibrate(chosen)
        self.build()
        chosen = [run for run in chosen if run.chains]
        for run in chosen:
            if changes := self.changes(run):
                print(f"{run.name}: changed since it last ran ({'; '.join(changes)}): it runs again")
            self.state.setdefault("runs", {})[run.name] = self.plan.described(run)
        self.workspace.save_state()

        longest = max((len(run.chains) for run in chosen), default=0)
        order = [(run, run.chains[i]) for i in range(longest) for run in chosen if i < len(run.chains)]
        todo = dict.fromkeys(job for _, chain in order for job in chain if not self.workspace.done(job))
        minutes = sum(self.expected.get(job, 0) for job in todo) / 60
        about = f", about {minutes:.1f} minutes of training" if minutes else ""
        print(f"{len(chosen)} runs, {len(todo)} jobs to do{about}", flush=True)
        number, broken = 0, {}
        for run, chain in order:
            for job in chain:
                if self.workspace.done(job):
                    continue
                if job in broken:
                    self.fail(run, f"it needs {job.name} of {broken[job]}, which failed")
                    break
                number += 1
                steps = f", {job.arguments['max_train_steps']:,} steps" if job.trained else ""
                seed = f", seed {job.arguments['seed']}" if job.trained else ""
                again = " goes on" if self.workspace.started(job) else ""
                print(f"[{number}/{len(todo)}] {job.name} of {run.name}{seed}{steps}{again}", flush=True)
                try:
                    record = self.workspace.run(job, self.plan.resolve)
                    training = f", of which {record['training_seconds']:.0f} s are training" if job.trained else ""
                    print(f"    done in {record['seconds_of_last_call']:.0f} s{training}", flush=True)
                except JobFailed as error:
                    broken[job] = run.name
                    self.fail(run, str(error))
                    break
            else:
                self.report()
        if failed := [name for name in names_of(self.plan.runs.values()) if name in self.state["failed"]]:
            print(f"failed: {', '.join(failed)}; run the same command again to try again", file=sys.stderr)
        self.workspace.save_state()
        return 1 if failed else 0

    def build(self) -> None:
        """Turns every run into jobs, those of later calls included; a run that has not been timed stays without."""
        for run in self.plan.runs.values():
            steps = self.steps(run)
            if steps is not None:
                self.plan.build(run, steps)
                self.state.setdefault("steps", {})[run.name] = steps
                for job in (job for chain in run.chains for job in chain if job.trained and self.budget["minutes"]):
                    timed = self.state["calibration"][self.plan.variant(run, job.name).digest]
                    self.expected[job] = steps[job.name] * timed["seconds_per_step"]

    def changes(self, run: Run) -> list[str]:
        """What is defined in another way than when the run was last carried out."""
        before, now = self.state.get("runs", {}).get(run.name), self.plan.described(run)
        if before is None:
            return []
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return [f"{name}: {before.get(name, 'not given')} -> {now.get(name, 'not given')}" for name in names]

    def fail(self, run: Run, message: str) -> None:
        """Shows and records why a run cannot be finished."""
        print(f"{run.name} failed: {message}", file=sys.stderr, flush=True)
        self.state.setdefault("failed", {})[run.name] = message
        self.workspace.save_state()

    # What is shown

    def finished(self, run: Run) -> list[list[Job]]:
        """The chains that have results."""
        return [chain for chain in run.chains if self.workspace.done(chain[-1])]

    def status(self, run: Run) -> str:
        """`done`, or how far it is."""
        if run.name in self.state.get("failed", {}):
            return "failed"
        if not run.chains:
            return "to do, not timed yet"
        jobs = {job for chain in run.chains for job in chain} - set(self.plan.prepared.values())
        done = sum(self.workspace.done(job) is not None for job in jobs)
        if done == len(jobs):
            return "done"
        status = f"{done} of {len(jobs)} jobs done" if done else "to do"
        status += ", one under way" if any(map(self.workspace.started, jobs)) else ""
        return f"{status}; changed: {'; '.join(changes)}" if (changes := self.changes(run)) else status

    def show(self) -> None:
        """Prints the runs and their state."""
        self.build()
        width = max(map(len, self.plan.runs))
        for run in self.plan.runs.values():
            print(f"{run.name:{width}}  {self.status(run)}")

    def row(self, run: Run) -> dict:
        """One line of the table."""
        chains = self.finished(run)
        results = [read_json(self.workspace.out / chain[-1].folder / "results.json") for chain in chains]
        trained = [[(job, self.workspace.done(job)) for job in chain if job.trained] for chain in chains]
        training = []
        for stage in zip(*trained):
            minutes = statistics.mean(record["training_seconds"] for _, record in stage) / 60
            training.append({"stage": stage[0][0].name, "steps": stage[0][1]["steps"], "minutes": round(minutes, 2)})
        return {
            "name": run.name,
            "status": self.status(run),
            "baseline": run.settings.get("baseline", False),
            "note": run.settings.get("note", ""),
            "paper": find_paper_score(run.settings.get("paper"), self.plan.language),
            "scores": summarize(results, self.plan.language) if results else {},
            "training_seeds": [stages[0][0].arguments["seed"] for stages in trained if stages],
            "parameters": trained[0][-1][1]["parameters"] if trained and trained[0] else None,
            "training": training,
            "examples": sum(record["examples"] for _, record in trained[0]) if trained else 0,
            "commands": [self.command(job) for job in chains[0]] if chains else [],
        }

    def command(self, job: Job) -> str:
        """The job as one would type it, with variables in place of paths."""
        parts = command_line(job.arguments, lambda value: value)
        texts = [str(part).replace("${output}", job.output).replace("${out}", "$out") for part in parts]
        start = self.workspace.launcher if job.trained and self.workspace.launcher else ["python"]
        # Variables stay as they are, which `shlex.quote` would not leave.
        quoted = [text if re.fullmatch(r"[\w$%+,./:=@^{}-]+", text) else shlex.quote(text) for text in texts]
        return " ".join([*start, f"examples/{job.script}", *quoted])

    def report(self) -> None:
        """Writes table, numbers and picture of what is finished."""
        first = next((chain for run in self.plan.runs.values() for chain in self.finished(run)), None)
        if first is None:
            return
        results = read_json(self.workspace.out / first[-1].folder / "results.json")
        [data] = results["data"].values()
        share = self.state.get("shares", {}).get(f"{self.budget['minutes'] or 0:g}")
        budget = (
            f"Budget: {self.budget['minutes']:g} minutes of training for the table, {share['seconds'] / 60:.2f} for "
            f"each of {share['trainings']} trainings, turned into steps by timing each kind of stage."
            if share
            else f"Budget: {self.budget['steps']:,} steps for every run."
        )
        evaluation = {key: value for key, value in self.plan.file["evaluation"].items() if key != "data"}
        report = {
            "config": self.plan.path.name,
            "language": self.plan.language,
            "budget": budget,
            "calibration": self.state.get("calibration", {}),
            "seeds": self.plan.seeds,
            "evaluation": evaluation,
            "data": {key: data[key] for key in ("file", "sha256", "rows")},
            "versions": results["versions"],
            "runs": [self.row(run) for run in self.plan.runs.values()],
        }
        write_json(self.workspace.out / "results.json", report)
        (self.workspace.out / "table.md").write_text(render(report), encoding="utf-8")
        draw(report, self.workspace.out / "plot.png")


def names_of(runs) -> list[str]:
    return [run.name for run in runs]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Interrupted, KeyboardInterrupt):
        print("run_ablations.py: interrupted: run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, JobFailed, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"run_ablations.py: error: {error}")
