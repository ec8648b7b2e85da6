"""``MODEL_CARD.md``: what a model is, what it was made from and what it is not for.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019).
"""

from __future__ import annotations

from typing import Any

from molweight.reporting.markdown import (
    SAMPLES,
    backbone_line,
    data_line,
    headline,
    label_of,
    method_line,
    number,
    read_as,
    table,
)

USES = {
    "molecules": """python -m molweight predict {folder} -i molecules.csv -o predictions.csv""",
    "text": """AutoModel.from_pretrained("{folder}/encoder")""",
}
LIMITS = {
    "molecules": [
        "It sees a picture of a molecule as RDKit draws it: what a drawing does not show (conformation, "
        "tautomers that are drawn otherwise, the state in solution) it cannot know.",
        "Molecules unlike the training ones are extrapolated; `--similarity` says how unlike they are.",
        "Molecules of more than 500 heavy atoms are not drawn.",
    ],
    "text": [
        "It knows the language of its encoder's training and of this task, no other.",
        "Sentences are shortened to the length in `config.yaml`.",
    ],
}


def model_card(report: dict[str, Any], folder: str) -> str:
    """The card.

    Args:
        report: content of ``report.json``.
        folder: of the run, as its user calls it.
    """
    modality, label = report["modality"], label_of(report)
    kind, units = report["task_type"], f" in {report['units']}" if report["units"] else ""
    targets = ", ".join(f"`{name}`" for name in report["valid_per_task"])
    split, corpus = report["split"], report["corpus"]
    sizes = ", ".join(f"{name} {size}" for name, size in split["sizes"].items() if size)
    samples, _ = SAMPLES[modality]
    unlabelled = f"{corpus[samples]:,} {samples} of `{corpus['name']}`" if report["images"] else "none"
    facts = [
        ("model", backbone_line(report)),
        ("adapted by", method_line(report)),
        ("predicts", f"{kind} of {targets}{units if kind == 'regression' else ''}"),
        ("learned from", f"{report['dataset']}: {data_line(report)}; SHA-256 {report['data_sha256'][:12]}"),
        *read_as(report),
        ("unlabelled data", unlabelled),
        ("split", f"{split['kind']} ({sizes}), hash {split['hash'][:12]}"),
        ("made with", ", ".join(f"{name} {version}" for name, version in report["versions"].items())),
    ]
    scores = [("validation", label, number(report["valid"])), ("test", label, number(report["test"]))]
    lines = [
        "---",
        "library_name: molweight",
        f"tags: [{modality}, {kind}]",
        "---",
        "",
        f"# {report['dataset']}: {headline(report)}",
        "",
        *table(("", ""), facts),
        "",
        "## Use",
        "",
        "```",
        USES[modality].format(folder=folder),
        "```",
        "",
        "## Evaluation",
        "",
        *table(("part", "metric", "score"), scores if split["sizes"]["test"] else scores[:1]),
        "",
        evaluation(report),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS[modality]),
        "- One seed: another one gives another score. `report.html` has the interval over test samples.",
        "- Not made, and not tested, for decisions about people.",
        "",
        "## Made by",
        "",
        "```",
        report["command"] or "run_experiment, from Python",
        "```",
    ]
    return "\n".join(lines) + "\n"


def evaluation(report: dict[str, Any]) -> str:
    """How the scores came about."""
    if not report["split"]["sizes"]["test"]:
        return (
            "Nothing was held back for a test. The validation part chose the epoch: its score is optimistic."
        )
    shared = report["protocol"] == "paper" and report["hypergradient"] is not None
    chose = "chose the epoch and the weights of the objectives" if shared else "chose the epoch"
    return f"The test part was read once, after the last decision. The validation part {chose}."
