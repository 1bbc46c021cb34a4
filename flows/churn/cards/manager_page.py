"""The retention manager's page for a campaign: choose a budget, see whom to contact, and past campaigns' results.

It is one self-contained file, which can be sent, read on a phone and printed.
"""

import html
import json

import numpy as np
from churn.campaigns import verdicts
from churn.campaigns.campaign_log import CONTACT
from churn.campaigns.planning import CampaignPlan
from churn.errors import ChurnError
from churn.registry.model_registry import Registered
from churn.serving import batch_scoring, prediction_log
from churn.settings.dataset import Dataset
from churn.settings.score import CampaignConfig
from churn.training import expected_profit

PAGES = "pages"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Campaign {campaign}</title><style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1f2933; }}
h1, h2 {{ line-height: 1.2; }}
label, output {{ display: block; }}
input {{ width: 100%; height: 2.5rem; accent-color: #0b6e4f; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }}
dl div {{ border: 1px solid #cbd2d9; border-radius: .5rem; padding: .5rem .75rem; }}
dt {{ color: #52606d; font-size: .875rem; }}
dd {{ margin: 0; font-size: 1.5rem; font-weight: 600; }}
.list {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #e4e7eb; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
@media print {{ input {{ display: none; }} .list {{ overflow: visible; }} body {{ max-width: none; padding: 0; }}
  tr {{ break-inside: avoid; }} }}
</style></head><body>
<h1>Campaign {campaign}</h1>
<p>{summary}</p>
<h2>Budget</h2>
<label for="budget">Contacts</label>
<input id="budget" type="range" min="0" max="{contacts}" value="{contacts}">
<dl>
<div><dt>Contacts</dt><dd id="contacts"></dd></div>
<div><dt>Cost</dt><dd id="cost"></dd></div>
<div><dt>Expected kept customers</dt><dd id="kept"></dd></div>
<div><dt>Expected profit</dt><dd id="profit"></dd></div>
</dl>
<p>{basis}</p>
<h2>Whom to contact</h2>
<p id="shown"></p>
<div class="list"><table><thead><tr><th scope="col" class="number">#</th><th scope="col">Customer</th>
<th scope="col" class="number">Risk</th><th scope="col" class="number">Uplift</th><th scope="col">Offer</th></tr></thead>
<tbody id="list"></tbody></table></div>
<h2>Campaigns so far</h2>
{sofar}
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
const data=JSON.parse(document.getElementById("data").textContent), most=200;
const put=(id, text) => {{ document.getElementById(id).textContent=text; }};
const money=(value) => value.toLocaleString("en", {{ maximumFractionDigits: 0 }});
const share=(value) => value === null ? "-" : (100 * value).toFixed(1) + " %";
function show() {{
  const chosen=data.rows.slice(0, +document.getElementById("budget").value);
  const sum=(key) => chosen.reduce((total, row) => total + row[key], 0);
  const known=chosen.every((row) => row.kept !== null);
  put("contacts", money(chosen.length));
  put("cost", money(sum("cost")));
  put("kept", known ? sum("kept").toFixed(1) : "not known yet");
  put("profit", known && data.margin !== null ? money(data.margin * sum("kept") - sum("cost")) : "not known yet");
  put("shown", chosen.length > most ? `The first ${{most}} of ${{money(chosen.length)}}.` : "");
  document.getElementById("list").replaceChildren(...chosen.slice(0, most).map((row, place) => {{
    const line=document.createElement("tr");
    const cells=[[place + 1, 1], [row.id, 0], [share(row.risk), 1], [share(row.uplift), 1], [row.offer, 0]];
    for (const [text, number] of cells) {{
      const cell=document.createElement("td");
      cell.textContent=text;
      if (number) cell.className="number";
      line.append(cell);
    }}
    return line;
  }}));
}}
document.getElementById("budget").addEventListener("input", show);
show();
</script></body></html>
"""


def manager_page(plan: CampaignPlan, model: Registered, dataset: Dataset, rule: CampaignConfig) -> str:
    """Write the page of a campaign beside its lists; return its address. Raises ChurnError if it cannot be written."""
    name = f"{PAGES}/{dataset.name}-{plan.campaign}.html"
    try:
        prediction_log.store(batch_scoring.root(), name, _text(plan, model, dataset, rule).encode())
    except OSError as error:
        raise ChurnError(
            f"{batch_scoring.root()}/{name} cannot be written: {error}; correct CHURNFLOW_SCORES"
        ) from None
    return f"{batch_scoring.root()}/{name}"


def _text(plan: CampaignPlan, model: Registered, dataset: Dataset, rule: CampaignConfig) -> str:
    worth = batch_scoring.scorer(model).worth
    margin = rule.report.margin or (worth.margin if worth is not None else None)
    rows = plan.members[(plan.members.arm == CONTACT) & ~plan.members.suppressed.astype(bool)]
    kept, basis = (
        np.full(len(rows), np.nan),
        "No campaign has said yet what a contact changes: hold some back, and report.",
    )
    if rows.uplift.notna().all():
        kept, basis = rows.uplift.to_numpy(), "Kept customers are the sum of the model's uplift."
    elif worth is not None:
        rates = np.broadcast_to(expected_profit.success_rates(worth, rows.probability.to_numpy()), len(rows))
        kept = rows.probability.to_numpy() * rates
        basis = f"Kept customers are the risk times the success rate of {worth.rate:.1%}, as configured, not measured."
        if worth.evidence:
            span = f": {rates.min():.1%} to {rates.max():.1%}" if len(rates) else ""
            basis = f"Kept customers are the risk times the success rate that campaigns measured at that risk{span}."
    customers = rows[["id", "offer", "cost"]].assign(
        risk=rows.probability, uplift=rows.uplift.astype("float64"), kept=kept
    )
    records = customers.astype("object").where(customers.notna(), None).to_dict("records")
    data = json.dumps({"margin": margin, "rows": records}).replace("<", "\\u003c")
    items = [
        f"<li><strong>{html.escape(line)}</strong> <small>({html.escape(one['day'])})</small></li>"
        for one in verdicts.kept_verdicts(dataset)
        for line in one["lines"]
    ]
    sofar = f"<ul>{''.join(items)}</ul>" if items else "<p>None has been reported yet.</p>"
    words = {"campaign": html.escape(plan.campaign), "summary": html.escape(str(plan)), "basis": html.escape(basis)}
    return _PAGE.format(**words, contacts=len(records), sofar=sofar, data=data)
