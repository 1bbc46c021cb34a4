"""The model card (Mitchell et al. 2019): a model's intended use, training data, performance and limits."""

import html
from typing import Any

from churn.cards import training_card as card
from churn.cards import uplift_card
from churn.cards.card_parts import Part, Table, inert
from churn.registry import tracking
from churn.registry.model_registry import Registered
from churn.registry.training_record import Training
from churn.training.hyperparameter_search import Candidate

MARKDOWN, HTML = "model_card.md", "model_card.html"


def parts(training: Training, version: str) -> list[Part]:
    """The parts of the card of a registered ``version``: headings and paragraphs in Markdown, and tables."""
    dataset, evaluation, winner = training.data.dataset, training.evaluation, training.winner
    return [
        f"# Model card: {dataset.model}, version {version}",
        training.gate.summary,
        "## Intended use",
        f"The probability that a customer churns, and the decision whom to contact. {dataset.description} For customers "
        "like those it learned from; not for decisions on credit, price or service that a person has a right to contest.",
        "## Data",
        f"Data set '{dataset.name}', version `{training.data.version}`"
        f"{' (synthetic customers)' if training.data.synthetic else ''}: {len(training.data.train):,} customers to train, "
        f"{len(evaluation.outcome):,} held out, {evaluation.outcome.mean():.1%} of them churned. Inputs: {', '.join(dataset.raw)}"
        + (f"; derived: {', '.join(dataset.features)}." if dataset.features else "."),
        "## Model",
        f"{_named(winner)} with {', '.join(f'{k}={_short(v)}' for k, v in winner.best.params.items())}, chosen among "
        f"{', '.join(c.family.name for c in training.board)} by cross-validated {training.config.search.metric}.",
        card.calibration(training.chosen),
        "## Scores on the holdout",
        card.holdout_scores(evaluation),
        card.decision(training.chosen),
        *uplift_card.measured_rates(training.value),
        *(["## Groups", card.GROUPS, card.groups(evaluation.slices)] if evaluation.slices else []),
        "## Feature importance",
        Table(
            ["column", "mean absolute Shapley value"],
            [[name, f"{value:.4f}"] for name, value in evaluation.reasons[:10]],
        ),
        "## Limits",
        *(f"- {limit}" for limit in _limits(training)),
        "## Lineage",
        Table(["", ""], [[name, value] for name, value in training.lineage.items()]),
    ]


def keep(training: Training, model: Registered) -> list[Part]:
    """Log the card to the run of the model, as Markdown and as HTML, and return its parts."""
    content = parts(training, model.version)
    tracking.log_texts(model.run, {MARKDOWN: markdown(content), HTML: page(content)})
    return content


def _named(winner: Candidate) -> str:
    if not winner.members:
        return winner.family.estimator
    return f"The weighted mean of the probabilities of {' and '.join(_weighted(winner))},"


def _weighted(winner: Candidate) -> list[str]:
    shares = winner.weights or (1 / len(winner.members),) * len(winner.members)
    return [f"{member.family.estimator} ({share:.0%})" for member, share in zip(winner.members, shares, strict=True)]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _limits(training: Training) -> list[str]:
    evaluation = training.evaluation
    small = [f"{s.column}={s.group}" for s in evaluation.slices if not s.scores]
    low, high = evaluation.intervals["roc_auc"]
    return [
        f"The holdout leaves ROC-AUC uncertain between {low:.3f} and {high:.3f}.",
        "It has seen one period only: watch drift and realised performance, and train again when they change.",
        "It predicts who leaves, not who can be retained: reasons are what the model relies on, not causes.",
        *([f"Too few customers to judge: {', '.join(small)}."] if small else []),
        *(f"Weaker for {warning}." for warning in training.gate.warnings),
    ]


def markdown(card_parts: list[Part]) -> str:
    """The parts as one Markdown text."""
    return "\n\n".join(_table_markdown(part) if isinstance(part, Table) else inert(part) for part in card_parts) + "\n"


def _table_markdown(table: Table) -> str:
    rows = [table.headers, ["---"] * len(table.headers), *table.rows]
    return "\n".join("| " + " | ".join(inert(cell).replace("|", r"\|") for cell in row) + " |" for row in rows)


def page(card_parts: list[Part]) -> str:
    """The parts as one self-contained HTML page."""
    body = "\n".join(_table_html(part) if isinstance(part, Table) else _text_html(part) for part in card_parts)
    style = "body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}td,th{text-align:left;padding:.2em .8em}"
    title = html.escape(card_parts[0].removeprefix("# "))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>\n'
        f"<body>\n{body}\n</body></html>\n"
    )


def _text_html(text: str) -> str:
    mark, _, rest = text.partition(" ")
    tag = {"#": "h1", "##": "h2", "-": "li"}.get(mark)
    # Backticks come in pairs: every second piece is code.
    pieces = html.escape(rest if tag else text).split("`")
    inner = "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))
    return f"<{tag or 'p'}>{inner}</{tag or 'p'}>"


def _table_html(table: Table) -> str:
    def line(cells: Any, tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(table.headers, "th") + "".join(line(row, "td") for row in table.rows) + "</table>"
