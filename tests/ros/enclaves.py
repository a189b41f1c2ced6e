"""The policy of config/sros2, and a keystore made of it: what `ros2 security generate_artifacts` does, by openssl.

Layout and documents follow https://design.ros2.org/articles/ros2_security_enclaves.html and chapter 9 of the OMG's
DDS Security specification 1.1.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

FOLDER = Path(__file__).resolve().parents[2] / "config" / "sros2"
POLICY = FOLDER / "imagebind_node.policy.xml"
INCLUDE = "{http://www.w3.org/2001/XInclude}include"
KINDS = ("publish", "subscribe", "reply", "request")
# An action is these topics and services to DDS, and ros2 security permits them together.
ACTIONS = {
    role: {topics: ("feedback", "status"), services: ("send_goal", "get_result", "cancel_goal")}
    for role, topics, services in (("execute", "publish", "reply"), ("call", "subscribe", "request"))
}
VALID = ("2020-01-01T00:00:00", "2035-01-01T00:00:00")


def resolved(path: Path) -> ElementTree.Element:
    """An XML file with the XInclude elements that these files use."""
    root = ElementTree.parse(path).getroot()
    for parent in list(root.iter()):
        for place, child in reversed(list(enumerate(parent))):
            if child.tag == INCLUDE:
                included = resolved(path.parent / child.get("href"))
                whole = child.get("xpointer") is None
                assert whole or child.get("xpointer") == "xpointer(/profile/*)"
                parent[place : place + 1] = [included] if whole else list(included)
    return root


def permitted(profile: ElementTree.Element) -> dict[str, set[str]]:
    """Absolute names by kind, for a node in the root namespace."""
    names: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for group in profile:
        for kind in KINDS:
            if group.get(kind) == "ALLOW":
                names[kind] |= {absolute(entry.text.strip(), profile.get("node")) for entry in group}
        for role in ACTIONS:
            if group.get(role) == "ALLOW":
                for kind, parts in ACTIONS[role].items():
                    names[kind] |= {
                        f"{absolute(entry.text.strip(), profile.get('node'))}/_action/{part}"
                        for entry in group
                        for part in parts
                    }
    return names


def absolute(name: str, node: str) -> str:
    return f"/{node}{name[1:]}" if name.startswith("~") else name if name.startswith("/") else f"/{name}"


def profiles() -> dict[str, dict[str, set[str]]]:
    """Enclave below /imagebind_node -> what its only node may do."""
    found = {}
    for enclave in resolved(POLICY).iter("enclave"):
        inside = list(enclave.iter("profile"))
        if len(inside) == 1:
            name = enclave.get("path").removeprefix("/imagebind_node/")
            assert inside[0].get("node") == name
            found[name] = permitted(inside[0])
    return found


def dds_topics(allowed: dict[str, set[str]]) -> tuple[list[str], list[str]]:
    """What is published and what is received, by the names of DDS (rt, rq and rr are ROS's prefixes)."""
    asked, answered = allowed["request"], allowed["reply"]
    out = {f"rt{n}" for n in allowed["publish"]} | {f"rq{n}Request" for n in asked}
    out |= {f"rr{n}Reply" for n in answered} | {"ros_discovery_info"}
    into = {f"rt{n}" for n in allowed["subscribe"]} | {f"rr{n}Reply" for n in asked}
    into |= {f"rq{n}Request" for n in answered} | {"ros_discovery_info"}
    return sorted(out), sorted(into)


def permissions(name: str, allowed: dict[str, set[str]], domain: int) -> str:
    out, into = dds_topics(allowed)

    def topics(kind: str, names: list[str]) -> str:
        return f"<{kind}><topics>{''.join(f'<topic>{n}</topic>' for n in names)}</topics></{kind}>"

    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation='
        '"http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_permissions.xsd"><permissions>'
        f'<grant name="{name}"><subject_name>CN={name}</subject_name>'
        f"<validity><not_before>{VALID[0]}</not_before><not_after>{VALID[1]}</not_after></validity>"
        f"<allow_rule><domains><id>{domain}</id></domains>{topics('publish', out)}{topics('subscribe', into)}"
        "</allow_rule><default>DENY</default></grant></permissions></dds>"
    )


def governance(domain: int) -> str:
    """Nobody without keys, everything encrypted, as `ros2 security` writes it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation='
        '"http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_governance.xsd"><domain_access_rules>'
        f"<domain_rule><domains><id>{domain}</id></domains>"
        "<allow_unauthenticated_participants>false</allow_unauthenticated_participants>"
        "<enable_join_access_control>true</enable_join_access_control>"
        "<discovery_protection_kind>ENCRYPT</discovery_protection_kind>"
        "<liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>"
        "<rtps_protection_kind>SIGN</rtps_protection_kind>"
        "<topic_access_rules><topic_rule><topic_expression>*</topic_expression>"
        "<enable_discovery_protection>true</enable_discovery_protection>"
        "<enable_liveliness_protection>true</enable_liveliness_protection>"
        "<enable_read_access_control>true</enable_read_access_control>"
        "<enable_write_access_control>true</enable_write_access_control>"
        "<metadata_protection_kind>ENCRYPT</metadata_protection_kind>"
        "<data_protection_kind>ENCRYPT</data_protection_kind>"
        "</topic_rule></topic_access_rules></domain_rule></domain_access_rules></dds>"
    )


def make_keystore(folder: Path, names: list[str], domain: int) -> None:
    """Keys, certificates and signed documents of the enclaves `names`, each in `folder`/name."""
    folder.mkdir()
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        folder,
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=ca",
        "-days",
        "3650",
    )
    for name in names:
        path = folder / name
        path.mkdir()
        subject = f"/imagebind_node/{name}"
        openssl(
            folder, "req", "-new", *new_key, "-keyout", path / "key.pem", "-out", path / "request.pem",
            "-subj", "/CN=" + subject.replace("/", "\\/"),
        )  # fmt: skip
        openssl(
            folder, "x509", "-req", "-in", path / "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", path / "cert.pem", "-days", "3650",
        )  # fmt: skip
        for authority in ("identity_ca.cert.pem", "permissions_ca.cert.pem"):
            (path / authority).write_bytes((folder / "ca.pem").read_bytes())
        documents = {
            "governance": governance(domain),
            "permissions": permissions(subject, profiles()[name], domain),
        }
        for document, text in documents.items():
            (path / f"{document}.xml").write_text(text)
            openssl(
                folder, "smime", "-sign", "-text", "-in", path / f"{document}.xml", "-out",
                path / f"{document}.p7s", "-signer", "ca.pem", "-inkey", "ca.key",
            )  # fmt: skip


def openssl(folder: Path, *words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
