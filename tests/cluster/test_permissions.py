"""Each account may do what it is for, and nothing else."""

import re

import pytest
from on_cluster import NAMESPACE, Cluster, kubectl

REPORTS = {("workflowtaskresults.argoproj.io", "[]", "[create patch]")}
ALLOWED = {
    "churnflow-flows": REPORTS,
    "churnflow-deploy": {
        *REPORTS,
        ("deployments.apps", "[churn-service]", "[get patch]"),
        ("pods", "[]", "[list]"),
    },
    "churnflow-events": {("workflows.argoproj.io", "[]", "[create]")},
    "churn-service": set(),
    "default": set(),
}


@pytest.mark.parametrize("account", ALLOWED)
def test_an_account_may_do_what_it_is_for_and_nothing_else(cluster: Cluster, account: str) -> None:
    said = kubectl("auth", "can-i", "--list", f"--as=system:serviceaccount:{NAMESPACE}:{account}")
    found = {tuple(re.split(r" {2,}", line.strip())) for line in said.splitlines()[1:]}
    rights = {
        (row[0], row[-2], row[-1]) for row in found if not row[0].startswith("[")
    }  # else: pages of the API server
    everyone = {one for one in rights if one[0].endswith((".authentication.k8s.io", ".authorization.k8s.io"))}
    assert rights - everyone == ALLOWED[account]
