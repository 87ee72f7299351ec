import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { CONFIG_VARIABLES } from "../src/config.ts";
import { IDLE_VARIABLES } from "../src/idle-variables.ts";
import { environmentNotices, KNOWN_VARIABLES } from "../src/istiod-environment.ts";
import { FIXED_VARIABLES } from "../src/istiod-variables.ts";

const SILENCE = { refusals: [], warnings: [], notes: [] };

test("what istiod's chart sets starts Causeway, with one line about what has no effect", () => {
  const { refusals, warnings, notes } = environmentNotices({
    PATH: "/usr/bin",
    REVISION: "default",
    PILOT_CERT_PROVIDER: "istiod",
    POD_NAME: "istiod-7d4b",
    POD_NAMESPACE: "istio-system",
    SERVICE_ACCOUNT: "istiod",
    KUBECONFIG: "/var/run/secrets/remote/config",
    CA_TRUSTED_NODE_ACCOUNTS: "istio-system/ztunnel",
    PILOT_ENABLE_ANALYSIS: "false",
    CLUSTER_ID: "Kubernetes",
    PLATFORM: "",
    GOMAXPROCS: "2",
    PILOT_ENABLE_AMBIENT: "true",
    PILOT_ENABLE_IP_AUTOALLOCATE: "true",
    PILOT_SKIP_VALIDATE_TRUST_DOMAIN: "true",
    DISABLE_LEGACY_MULTICLUSTER: "true",
  });
  assert.deepEqual([refusals, warnings], [[], []]);
  assert.deepEqual(notes, [
    "these variables have no effect on Causeway: GOMAXPROCS, PILOT_ENABLE_ANALYSIS, PILOT_SKIP_VALIDATE_TRUST_DOMAIN, SERVICE_ACCOUNT",
  ]);
});

test("what somebody relies on and does not get is refused, with the variable, its value, why and what to do", () => {
  const { refusals } = environmentNotices({
    ENABLE_MCS_HOST: "true",
    EXTERNAL_CA: "ISTIOD_RA_KUBERNETES_API",
    XDS_AUTH: "false",
    ISTIO_WATCH_NAMESPACE: "a\nb",
    PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: "10.9.0.0/16",
  });
  assert.deepEqual(refusals, [
    'ENABLE_MCS_HOST is "true": hosts under clusterset.local are not built; remove the variable, and make services global by serviceScopeConfigs',
    'EXTERNAL_CA is "ISTIOD_RA_KUBERNETES_API": no other authority is asked to sign; remove the variable, and give an intermediate authority in --cacerts',
    'ISTIO_WATCH_NAMESPACE is "a\\nb": all namespaces are read; remove the variable',
    'PILOT_IP_AUTOALLOCATE_IPV4_PREFIX is "10.9.0.0/16": addresses are allocated from 240.240.0.0/16; remove the variable, or set PILOT_ENABLE_IP_AUTOALLOCATE to false',
    'XDS_AUTH is "false": only ztunnels that prove who they are may read the mesh; remove the variable',
  ]);
});

test("a variable whose value is how Causeway behaves anyway is fine, however it is written", () => {
  for (const { name, as } of FIXED_VARIABLES) {
    const other = as === "true" ? "false" : "true";
    assert.equal(environmentNotices({ [name]: other }).refusals.length, 1, name);
    assert.deepEqual(environmentNotices({ [name]: "" }), SILENCE, name);
    if (as !== undefined) assert.deepEqual(environmentNotices({ [name]: as }), SILENCE, name);
  }
  const spelled = {
    XDS_AUTH: "T",
    ENABLE_MCS_HOST: "0",
    MAX_WORKLOAD_CERT_TTL: "2160h0m0s",
    TOKEN_AUDIENCES: "istio-ca",
  };
  assert.deepEqual(environmentNotices(spelled), SILENCE);
  assert.equal(environmentNotices({ XDS_AUTH: "yes" }).refusals.length, 1);
});

test("a name that looks like istiod's and is none is warned of, with what may have been meant", () => {
  assert.deepEqual(
    environmentNotices({ PILOT_ENABLE_AMBIANT: "true", CITADEL_FROBNICATE_EVERYTHING_TWICE: "1", FROBNICATE: "1" }),
    {
      refusals: [],
      warnings: [
        "the variable CITADEL_FROBNICATE_EVERYTHING_TWICE is not known, and has no effect",
        "the variable PILOT_ENABLE_AMBIANT is not known, and has no effect; did you mean PILOT_ENABLE_AMBIENT?",
      ],
      notes: [],
    },
  );
});

test("what Kubernetes tells every pod about Services, and proxies about their node, is no unknown variable", () => {
  const links = ["ISTIOD_SERVICE_HOST", "ISTIOD_SERVICE_PORT", "ISTIOD_SERVICE_PORT_GRPC_XDS", "ISTIOD_PORT"];
  const tcp = ["", "_PROTO", "_PORT", "_ADDR"].map((end) => `ISTIO_EASTWEST_PORT_15008_TCP${end}`);
  assert.deepEqual(environmentNotices(Object.fromEntries([...links, ...tcp].map((name) => [name, "x"]))), SILENCE);
  assert.deepEqual(environmentNotices({ ISTIO_META_DNS_CAPTURE: "true" }).warnings, []);
});

test("each variable has one answer, and those that a setting has are left to it", () => {
  const idle = IDLE_VARIABLES.flatMap(({ names }) => names);
  const all = [...CONFIG_VARIABLES.keys(), ...FIXED_VARIABLES.map(({ name }) => name), ...idle];
  assert.deepEqual(
    all.filter((name, at) => all.indexOf(name) !== at),
    [],
  );
  for (const name of CONFIG_VARIABLES.keys())
    assert.deepEqual(environmentNotices({ [name]: "anything" }), SILENCE, name);
});

test("environment.md answers for every variable, and cli.md for those that are settings", () => {
  const read = (page: string) => readFileSync(join(import.meta.dirname, "..", "..", "docs", page), "utf8");
  const [answers, settings] = [read("environment.md"), read("cli.md")];
  assert.ok(KNOWN_VARIABLES.size > 250);
  assert.deepEqual(
    [...KNOWN_VARIABLES].filter((name) => !answers.includes(`\`${name}\``)),
    [],
  );
  assert.deepEqual(
    [...CONFIG_VARIABLES.keys()].filter((name) => !settings.includes(`\`${name}\``)),
    [],
  );
  for (const { name, as, why } of FIXED_VARIABLES)
    assert.ok(answers.includes(`| \`${name}\` | ${as === undefined ? "" : `\`${as}\``} | ${why} |`), name);
  for (const { why, names } of IDLE_VARIABLES)
    assert.ok(answers.includes(`| ${names.map((name) => `\`${name}\``).join(" ")} | ${why} |`), why);
});
