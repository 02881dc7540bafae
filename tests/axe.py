"""Accessibility rules of axe-core, checked on the page that a browser shows."""

from selenium.webdriver import Chrome
from selenium_axe_python import Axe

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
TIMEOUT_S = 120.0  # a long page takes many seconds on a busy machine


def violations(driver: Chrome) -> list[str]:
    """Each element that breaks a rule: rule, impact, where it is, and what the rule asks for. Empty if none does."""
    driver.set_script_timeout(TIMEOUT_S)
    axe = Axe(driver)
    if driver.execute_script("return typeof window.axe === 'undefined'"):
        axe.inject()
    found = axe.run(options={"runOnly": list(TAGS), "resultTypes": ["violations"]})["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {rule['help']}"
        for rule in found
        for node in rule["nodes"]
    ]
