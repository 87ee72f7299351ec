import assert from "node:assert/strict";
import { test } from "mocha";
import { checkMesh, findingsOf } from "../../src/inspect/check/check-mesh.ts";
import { TOKEN_AGE_MAX_MS } from "../../src/inspect/check/check-options.ts";
import { type ClusterFacts, kindName } from "../../src/inspect/cluster-facts.ts";
import { FACT_KINDS } from "../../src/inspect/facts-kinds.ts";
import { GATEWAYS } from "../../src/kube/resource-types.ts";

const nothingShown = (cluster: string): ClusterFacts => ({
  ...{ cluster, source: `context ${cluster}`, context: cluster, readAt: 0, planes: [] },
  kinds: new Map(FACT_KINDS.map((type) => [kindName(type), { why: "403 Forbidden", absent: false }])),
  measured: { clockSkewMs: 0, rights: undefined },
});

test("of clusters that show nothing no check says that something is missing: it is not known", () => {
  const options = { precheck: false, tokenAgeMaxMs: TOKEN_AGE_MAX_MS };
  const findings = findingsOf(checkMesh([nothingShown("east"), nothingShown("west")], options));
  const wrong = findings.filter(({ level }) => level === "error" || level === "warning");
  for (const code of ["CWY0407", "CWY0504", "CWY0805", "CWY0908"]) assert.ok(wrong.some((one) => one.code === code));
  assert.deepEqual(
    wrong.filter(({ evidence }) => !/not known|could not be read/.test(evidence)),
    [],
  );
});

test("a cluster that refuses the token is told from one that is silent, and each has its own remedy", () => {
  const unread = (why: string, refused: boolean) => {
    const facts = { ...nothingShown("east"), unread: why, refused };
    const [finding] = findingsOf(checkMesh([facts], { precheck: true, tokenAgeMaxMs: TOKEN_AGE_MAX_MS }));
    return `${finding!.code} ${finding!.evidence}; ${finding!.fix}`;
  };
  assert.match(unread("GET /version was answered with 401 Unauthorized", true), /CWY0001 .* refuses .* log in again/s);
  assert.match(
    unread("GET /version failed: no connection in 4 s", false),
    /CWY0001 .* does not answer: .* look at the server/s,
  );
});

test("of manifests that no API server has told a check says what is not known, and takes a control plane's word", () => {
  const gateway = {
    ...{ apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway" },
    metadata: {
      ...{ name: "istio-remote-peer-west", namespace: "istio-eastwest" },
      labels: { "topology.istio.io/cluster": "west", "topology.istio.io/network": "west" },
    },
    spec: { gatewayClassName: "istio-remote", listeners: [{ name: "xds-tls", port: 15012, protocol: "TLS" }] },
  };
  const checked = (state: string | undefined) => {
    const peer = { gateway: "istio-eastwest/istio-remote-peer-west", cluster: "west", state, ageSeconds: 0 };
    const pages = new Map([["peerz", { body: state === undefined ? [] : [peer] }]]);
    const facts: ClusterFacts = {
      ...nothingShown("east"),
      kinds: new Map([[kindName(GATEWAYS), { objects: [gateway] }]]),
      planes: [{ pod: "istio-system/istiod", pages }],
      files: { origins: new Map(), faults: [], unknownKinds: [], declared: true },
    };
    const found = findingsOf(checkMesh([facts], { precheck: false, tokenAgeMaxMs: TOKEN_AGE_MAX_MS }));
    return found.filter(({ code }) => /^CWY0[468]/.test(code)).map(({ code, level }) => `${code} ${level}`);
  };
  for (const code of ["CWY0408 info", "CWY0806 info"]) assert.ok(checked("live").includes(code), code);
  assert.ok(!checked("live").some((one) => one.includes("error")), checked("live").join());
  assert.ok(checked(undefined).includes("CWY0610 info"));
  assert.ok(checked("stale").includes("CWY0605 error"));
});
