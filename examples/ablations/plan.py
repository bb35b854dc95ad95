"""What the YAML file of `run_ablations.py` asks for, as jobs: calls of scripts, named by what they do and read."""

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from codefusion_hf.data.leakage import sha256
from codefusion_hf.languages import LANGUAGES

from .jobs import read_json, write_json
from .report import find_paper_score


EXAMPLES = Path(__file__).parents[1]
KEYS = {
    "file": ("language", "variables", "prepare", "model", "stages", "calibration", "evaluation", "seeds", "runs"),
    "prepare": ("script", "arguments", "file"),
    "stages": ("script", "share", "arguments"),
    "calibration": ("rounds", "warmup_steps", "steps", "window", "max_rows"),
    "runs": (
        *("stages", "checkpoint", "model", "config_overrides", "arguments", "evaluation"),
        *("paper", "note", "baseline"),
    ),
}
NOMINAL_STEPS = 1000  # of jobs that are compared or checked, not run
CALIBRATION = {"rounds": 2, "warmup_steps": 5, "steps": 20, "window": 5, "max_rows": 4096}
# They change how a training is watched, not what comes out of it.
NOT_IDENTITY = ("logging_steps", "checkpointing_steps", "checkpoints_total_limit")
VARIABLE = re.compile(r"\$\{(\w+)\}")
DIGEST = re.compile(r"(?<=-)[0-9a-f]{12}(?=/|$)")


@dataclass(frozen=True)
class Job:
    """
    One call of a script.

    Args:
        name (`str`): Of the stage, or `evaluate`.
        script (`str`): In examples/.
        arguments (`dict`): Without the dashes; text may hold `${variables}`, among them `${out}` and `${output}`.
        file (`str`): What `${output}` is: a file in the job's folder, or `""` for the folder.
        parents (`tuple[Job]`): To be done before.
        trained (`bool`): Has steps and checkpoints.
        digest (`str`): Identifies arguments, files and parents.
    """

    name: str
    script: str
    arguments: dict = field(hash=False, compare=False)
    file: str = field(default="", compare=False)
    parents: tuple["Job", ...] = field(default=(), compare=False)
    trained: bool = field(default=False, compare=False)
    digest: str = ""

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.digest}"

    @property
    def output(self) -> str:
        """Template of its result."""
        return "/".join(filter(None, ("${out}", self.folder, self.file)))

    def chain(self) -> list["Job"]:
        """The job after all that it needs."""
        return [job for parent in self.parents for job in parent.chain()] + [self]


@dataclass
class Run:
    """A row of the table: `chains[i]` are the jobs of the i-th training seed, the last of which has the results."""

    name: str
    settings: dict
    chains: list[list[Job]] = field(default_factory=list)


class Plan:
    """
    What a YAML file asks for: checks it, turns it into jobs.

    Args:
        path (`Path`): The YAML file.
        variables (`dict[str, str]`): From the command line.
        out (`Path`): The folder of all results.
        launcher (`str`): Put before the training scripts.

    Raises:
        ValueError: for whatever is wrong with the file or the variables; names it and what is allowed.
    """

    def __init__(self, path: Path, variables: dict[str, str], out: Path, launcher: str):
        try:
            self.file = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
        self.path, self.out, self.launcher = path, out, launcher
        self.digests: dict[str, str] = {}
        check_file(self.file, path)
        self.language = self.file["language"]
        self.stages, self.seeds = self.file["stages"], self.file["seeds"]
        self.calibration = {**CALIBRATION, **(self.file.get("calibration") or {})}
        self.set_variables(variables)
        self.runs = {name: Run(name, settings or {}) for name, settings in self.file["runs"].items()}
        for run in self.runs.values():
            self.check_run(run)
        for run in self.runs.values():  # what is wrong with the last one is to be said before the first one is trained
            self.build(run, dict.fromkeys(self.shares(run), NOMINAL_STEPS))
            run.chains = []

    def run(self, name: str) -> Run:
        """A run by its name; raises `ValueError` with the names there are."""
        check_keys([name], self.runs, "--only")
        return self.runs[name]

    # Variables: ${data} and the like stay in arguments, digests and the table; only a command has their values.

    def set_variables(self, given: dict[str, str]) -> None:
        declared, prepared = self.file.get("variables") or {}, self.file.get("prepare") or {}
        check_keys(given, (*declared, *prepared), "--set")
        defaults = {name: find_package(value) for name, value in declared.items() if value and name not in given}
        self.values = {"out": str(self.out), **defaults, **given}
        self.prepared: dict[str, Job] = {}
        for name, step in prepared.items():
            if name not in given:
                arguments = {key: self.place(value) for key, value in step["arguments"].items()}
                if "${output}" not in arguments.values():
                    raise ValueError(f"{self.path}: prepare: {name}: one of its arguments must be ${{output}}")
                self.prepared[name] = self.job(name, step["script"], arguments, file=step.get("file", ""))

    def place(self, value):
        """An argument with the variables of prepared files replaced by where these are going to be."""
        if isinstance(value, list):
            return [self.place(item) for item in value]
        if not isinstance(value, str):
            return value
        for name in VARIABLE.findall(value):
            if name in self.prepared:
                value = value.replace(f"${{{name}}}", self.prepared[name].output)
            elif name not in self.values and name != "output":
                declared = self.file.get("variables") or {}
                if name in declared:
                    raise ValueError(f"the variable {name} is not set: give --set {name}=PATH")
                known = ", ".join([*declared, *(self.file.get("prepare") or {})]) or "none"
                raise ValueError(f"{self.path}: unknown variable ${{{name}}}: variables are {known}")
        return value

    def resolve(self, value, output: str = ""):
        """An argument as it is given to a script."""
        if isinstance(value, list):
            return [self.resolve(item, output) for item in value]
        if not isinstance(value, str):
            return value
        return VARIABLE.sub(lambda match: str({**self.values, "output": output}[match[1]]), value)

    def identity(self, value) -> str:
        """What an argument means: its text, and for files and folders what they hold."""
        if isinstance(value, list):
            return " ".join(map(self.identity, value))
        if not isinstance(value, str) or not VARIABLE.search(value) or value.startswith(("${out}/", "${output}")):
            return str(value)
        path = Path(self.resolve(value))
        if not path.exists():
            raise ValueError(f"{value}: there is no {path}: set the variable with --set NAME=PATH")
        if value not in self.digests:
            self.digests[value] = digest_of(path)
        return f"{value} {self.digests[value]}"

    # Jobs

    def definition(self, job: Job) -> dict[str, str]:
        """What decides the job's result, beside its parents: flat, for digests and to say what has changed."""
        kept = {name: value for name, value in job.arguments.items() if name not in NOT_IDENTITY}
        result = {f"{job.name}.{name}": self.identity(value) for name, value in kept.items()}
        result[f"{job.name}.script"] = job.script
        preset = EXAMPLES / "configs" / f"{job.arguments.get('config_name')}.json"
        if preset.is_file():
            result[f"{job.name}.preset"] = digest_of(preset)
        if job.trained and self.launcher:
            result[f"{job.name}.launcher"] = self.launcher
        return result

    def job(self, name: str, script: str, arguments: dict, **extra) -> Job:
        job = Job(name, script, {key: value for key, value in arguments.items() if value is not None}, **extra)
        parents = {f"parent {parent.folder}": "" for parent in job.parents}
        return replace(job, digest=digest({**self.definition(job), **parents}))

    def check_run(self, run: Run) -> None:
        where, settings = f"{self.path}: run {run.name!r}", run.settings
        if ("stages" in settings) == ("checkpoint" in settings):
            raise ValueError(f"{where}: give either `stages` or `checkpoint`, the run whose checkpoint is evaluated")
        if "checkpoint" in settings:
            others = [name for name, other in self.runs.items() if "stages" in (other.settings or {})]
            if settings["checkpoint"] not in others:
                raise ValueError(
                    f"{where}: unknown checkpoint {settings['checkpoint']!r}: trained runs are {', '.join(others)}"
                )
        check_keys(dict.fromkeys(settings.get("stages") or ()), self.stages, f"{where}: stages")
        check_keys(settings.get("arguments") or {}, self.stages, f"{where}: arguments")
        find_paper_score(settings.get("paper"), self.language, where)
        if settings.get("config_overrides"):
            self.derived_config(run, write=False)

    def trained_by(self, run: Run) -> Run:
        """The run itself, or the one whose checkpoint it evaluates."""
        return self.runs[run.settings["checkpoint"]] if "checkpoint" in run.settings else run

    def model_arguments(self, run: Run) -> dict:
        """Those of the first stage: preset, tokenizer, encoder."""
        model = merge(self.file.get("model") or {}, run.settings.get("model") or {})
        if run.settings.get("config_overrides"):
            model["config_name"] = self.derived_config(run)
        return {name: self.place(value) for name, value in model.items()}

    def derived_config(self, run: Run, write: bool = True) -> str:
        """Writes the run's preset with its `config_overrides` as a JSON; returns the template of its path."""
        name = merge(self.file.get("model") or {}, run.settings.get("model") or {}).get("config_name")
        preset = EXAMPLES / "configs" / f"{name}.json"
        if not preset.is_file():
            names = ", ".join(sorted(path.stem for path in preset.parent.glob("*.json")))
            raise ValueError(f"{self.path}: run {run.name!r}: config_overrides change a preset, one of {names}")
        from codefusion_hf.configuration_codefusion import CodeFusionConfig  # imports transformers

        config = read_json(preset)
        config.pop("generation_config", None)  # how a run is sampled, its `evaluation` says
        check_keys(
            run.settings["config_overrides"],
            CodeFusionConfig().to_dict(),
            f"{self.path}: run {run.name!r}: config_overrides",
        )
        for key, value in run.settings["config_overrides"].items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        file = f"configs/{name}-{digest(config)}.json"
        if write:
            write_json(self.out / file, config)
        return f"${{out}}/{file}"

    def stage_arguments(self, run: Run, name: str, steps: int) -> dict:
        """A trained stage's arguments without model and seed; percentages are shares of its steps."""
        own = merge(self.stages[name].get("arguments") or {}, (run.settings.get("arguments") or {}).get(name) or {})
        arguments = {key: self.place(value) for key, value in own.items()}
        if "share" not in self.stages[name]:
            return {**arguments, "output_dir": "${output}"}
        for key, value in arguments.items():
            if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value)):
                arguments[key] = max(1, round(steps * float(found[1]) / 100))
        return {**arguments, "output_dir": "${output}", "max_train_steps": steps}

    def shares(self, run: Run) -> dict[str, float]:
        """Which part of a run's time each of its trained stages gets; empty for a run without training."""
        stages = self.trained_by(run).settings["stages"]
        trained = {name: self.stages[name]["share"] for name in stages if "share" in self.stages[name]}
        return {name: share / sum(trained.values()) for name, share in trained.items()}

    def variant(self, run: Run, stage: str) -> Job:
        """What is timed in place of a stage: as if it were the run's first, for a few steps."""
        run, options = self.trained_by(run), self.calibration
        arguments = self.stage_arguments(run, stage, options["warmup_steps"] + options["steps"])
        arguments |= self.model_arguments(run) | {"logging_steps": options["window"], "seed": 0}
        arguments.pop("validation_file", None)  # nothing but steps is timed
        return self.job(stage, self.stages[stage]["script"], arguments, trained=True)

    def training(self, run: Run, steps: dict[str, int], seed: int) -> Job:
        """The last stage of a run, with the others as its parents; `steps` are those of each trained stage."""
        run = self.trained_by(run)
        last: tuple[Job, ...] = ()
        for name in run.settings["stages"]:
            arguments = self.stage_arguments(run, name, steps.get(name, 0))
            if name in steps:
                model = {"model_name_or_path": last[0].output} if last else self.model_arguments(run)
                arguments = {**model, **arguments, "seed": seed}
            used = str(arguments.values())
            prepared = tuple(job for job in self.prepared.values() if job.folder in used)
            script = self.stages[name]["script"]
            last = (self.job(name, script, arguments, parents=last + prepared, trained=name in steps),)
        return last[0]

    def build(self, run: Run, steps: dict[str, int]) -> None:
        """Fills in `run.chains`."""
        options = merge(self.file.get("evaluation") or {}, run.settings.get("evaluation") or {})
        chains = {}
        for seed in self.seeds:
            last = self.training(run, steps, seed)
            if run.settings.get("evaluation", {}) is not None:
                arguments = {name: self.place(value) for name, value in options.items()}
                arguments |= {"model": last.output, "output_dir": "${output}"}
                last = self.job("evaluate", "run_evaluate.py", arguments, parents=(last,))
            chains[last] = list(dict.fromkeys(last.chain()))
        run.chains = list(chains.values())  # a run without training is the same for every seed

    def described(self, run: Run) -> dict[str, str]:
        """What decides the results of a built run: see [`definition`]."""
        result = {}
        for job in run.chains[0]:
            result |= {name: DIGEST.sub("", value) for name, value in self.definition(job).items()}
        return result


def check_file(file, path: Path) -> None:
    """Raises `ValueError` for unknown, missing and misplaced keys of the YAML."""
    if not isinstance(file, dict):
        raise ValueError(f"{path} must be a mapping of {', '.join(KEYS['file'])}")
    check_keys(file, KEYS["file"], path)
    if missing := [key for key in ("language", "stages", "seeds", "runs") if not file.get(key)]:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    if file["language"] not in LANGUAGES:
        raise ValueError(f"{path}: language must be one of {', '.join(LANGUAGES)}, got {file['language']!r}")
    seeds = file["seeds"]
    if not isinstance(seeds, list) or len(set(seeds)) < len(seeds) or not all(type(seed) is int for seed in seeds):
        raise ValueError(f"{path}: seeds must be a list of different whole numbers, got {seeds!r}")
    calibration = {**CALIBRATION, **(file.get("calibration") or {})}
    check_keys(calibration, KEYS["calibration"], f"{path}: calibration")
    timed = (calibration["warmup_steps"] + calibration["steps"]) // calibration["window"]
    if calibration["rounds"] * (timed - calibration["warmup_steps"] // calibration["window"]) < 2:
        raise ValueError(f"{path}: calibration: its steps must fill 2 windows after the warm-up, got {calibration}")
    for part in ("prepare", "stages", "runs"):
        for name, settings in (file.get(part) or {}).items():
            where = f"{path}: {part}: {name}"
            if not isinstance(settings, dict):
                raise ValueError(f"{where} must be a mapping of {', '.join(KEYS[part])}, got {settings!r}")
            check_keys(settings, KEYS[part], where)
            if part != "runs" and not (EXAMPLES / str(settings.get("script"))).is_file():
                raise ValueError(f"{where}: script must be a file in examples/, got {settings.get('script')!r}")
    for where, part in [(path, file), *((f"{path}: run {name!r}", run) for name, run in file["runs"].items())]:
        data = ((part or {}).get("evaluation") or {}).get("data")
        if data is not None and not isinstance(data, str) and len(data) != 1:
            raise ValueError(f"{where}: evaluation: data must be one file, got {data}")


def check_keys(given, allowed, where) -> None:
    """Raises `ValueError` for a key that is not allowed; the message lists those that are."""
    for key in given:
        if key not in allowed:
            raise ValueError(f"{where}: unknown {key!r}: allowed are {', '.join(map(str, allowed)) or 'none'}")


def merge(first: dict, second: dict) -> dict:
    """Both, the second deciding; its `null` removes a key."""
    return {key: value for key, value in {**first, **second}.items() if value is not None}


def find_package(value: str) -> str:
    """`package:NAME/PATH` as the path of a file or folder that an installed package brings; anything else as it is."""
    if not str(value).startswith("package:"):
        return str(value)
    name, _, inner = value.removeprefix("package:").partition("/")
    found = importlib.util.find_spec(name)
    if found is None:
        raise ValueError(f"the package {name} is not installed: pip install 'codefusion-hf[pretrained]'")
    return str(Path(found.submodule_search_locations[0]) / inner)


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def digest_of(path: Path) -> str:
    """Of the content of a file, or of all files of a folder and their names."""
    if path.is_file():
        return sha256(path)[:12]
    return digest([[str(file.relative_to(path)), sha256(file)] for file in sorted(path.rglob("*")) if file.is_file()])
