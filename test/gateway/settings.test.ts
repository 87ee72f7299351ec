import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { type Environment, type Options, UsageError } from "../../src/command.ts";
import { GATEWAY_FLAGS, GATEWAY_VARIABLES, loadGatewaySettings } from "../../src/gateway/settings.ts";

const POD = { GATEWAY_NAME: "gate", POD_NAME: "gate-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.7" };
const load = (environment: Environment = {}, options: Options = {}) =>
  loadGatewaySettings(options, { ...POD, ...environment });

test("in a pod, what the downward API says is enough", () => {
  const settings = load();
  assert.deepEqual(settings.place, {
    gateway: "gate",
    pod: "gate-1",
    namespace: "shop",
    address: "10.0.0.7",
    cluster: "Kubernetes",
    network: "",
    clusterDomain: "cluster.local",
    locality: { region: "", zone: "", subZone: "" },
  });
  const istiod = { host: "istiod.istio-system.svc", port: 15012 };
  assert.deepEqual([settings.ca, settings.xds, settings.drainMs, settings.envoy], [istiod, istiod, 30_000, undefined]);
  assert.deepEqual([settings.readyPort, settings.metricsPort], [15021, 15020]);
});

test("what is missing is named with its flag and its variable", () => {
  for (const [variable, flag] of [
    ["GATEWAY_NAME", "--gateway"],
    ["POD_NAME", "--pod"],
    ["POD_NAMESPACE", "--namespace"],
    ["INSTANCE_IP", "--address"],
  ] as const)
    assert.throws(
      () => load({ [variable]: "" }),
      (thrown) =>
        thrown instanceof UsageError && thrown.message.startsWith(`${flag} is missing: give it, or set ${variable}`),
    );
});

test("the control plane may be named as istio-proxy names it", () => {
  for (const [text, host, port] of [
    ["istiod.mesh.svc:15012", "istiod.mesh.svc", 15012],
    ["https://istiod.mesh.svc:443", "istiod.mesh.svc", 443],
    ["[::1]:15012", "::1", 15012],
  ] as const)
    assert.deepEqual(load({ CA_ADDR: text }).xds, { host, port });
  assert.deepEqual(load({ CA_ADDR: "a:1", XDS_ADDR: "b:2" }).xds, { host: "b", port: 2 });
});

test("a value that cannot be is refused with its name and what would be right", () => {
  const wrong: readonly [Environment, RegExp][] = [
    [{ CA_ADDR: "istiod" }, /^CA_ADDR is "istiod": give host and port/],
    [{ CA_ADDR: "istiod:0" }, /^CA_ADDR/],
    [{ INSTANCE_IP: "pod" }, /^INSTANCE_IP is "pod": give the pod's IP address/],
    [{ TRUST_DOMAIN: "Ä" }, /^TRUST_DOMAIN/],
    [{ DRAIN_DURATION: "2h" }, /^DRAIN_DURATION is "2h": give a duration of an hour at most/],
    [{ SECRET_TTL: "1s" }, /^SECRET_TTL is "1s": give a duration of at least a minute/],
    [{ ENVOY_PATH: "/e", ENVOY_CONCURRENCY: "0" }, /^ENVOY_CONCURRENCY is "0": give a whole number from 1/],
    [{ ENVOY_PATH: "/e", ENVOY_LOG_LEVEL: "loud" }, /^ENVOY_LOG_LEVEL is "loud": give one of trace/],
  ];
  for (const [environment, message] of wrong) assert.throws(() => load(environment), { message });
  assert.equal(load({ DRAIN_DURATION: "0s" }).drainMs, 0);
});

test("who asks SPIRE says over which socket, and for whom", () => {
  const account = { SERVICE_ACCOUNT: "waypoint" };
  const spireOf = (environment: Environment, options: Options = {}) =>
    load({ ...account, ...environment }, options).spire;
  assert.equal(spireOf({}), undefined);
  assert.deepEqual(spireOf({ SPIFFE_ENDPOINT_SOCKET: "unix:///run/spire/agent.sock" }), {
    api: "workload",
    socket: "/run/spire/agent.sock",
    serviceAccount: "waypoint",
  });
  const delegate = { SPIRE_ADMIN_SOCKET: "unix:/run/spire/admin.sock" };
  const pod = ["k8s:ns:shop", "k8s:sa:waypoint", "k8s:pod-name:gate-1"];
  for (const [more, asks] of [
    [{}, pod],
    [{ POD_UID: "0c5f" }, [...pod, "k8s:pod-uid:0c5f"]],
    [{ SPIRE_SELECTORS: "k8s:ns:shop, unix:uid:7" }, ["k8s:ns:shop", "unix:uid:7"]],
    [{ SPIRE_SELECTORS: "envoy" }, "envoy"],
  ] as const)
    assert.deepEqual(spireOf({ ...delegate, ...more }), {
      api: "delegated",
      socket: "/run/spire/admin.sock",
      serviceAccount: "waypoint",
      asks,
    });
});

test("what cannot be asked of SPIRE is refused with what to give instead", () => {
  const both = { SPIFFE_ENDPOINT_SOCKET: "unix:/a", SPIRE_ADMIN_SOCKET: "unix:/b" };
  const wrong: readonly [Environment, RegExp][] = [
    [both, /^SPIFFE_ENDPOINT_SOCKET and SPIRE_ADMIN_SOCKET both say .*: give the one or the other$/],
    [{ SPIFFE_ENDPOINT_SOCKET: "tcp://127.0.0.1:1" }, /^SPIFFE_ENDPOINT_SOCKET is "tcp:.*": give the path of a socket/],
    [{ SPIRE_SELECTORS: "k8s:ns:shop" }, /^SPIRE_SELECTORS is .*give --spire-admin-socket/],
    [
      { SPIRE_ADMIN_SOCKET: "/b", SPIRE_SELECTORS: "shop" },
      /^SPIRE_SELECTORS is "shop": give selectors with their types/,
    ],
    [
      { SPIRE_ADMIN_SOCKET: "/b", SERVICE_ACCOUNT: "" },
      /^--service-account is missing: .*give it, or set SERVICE_ACCOUNT/,
    ],
    [{ SPIRE_ADMIN_SOCKET: "/b", POD_UID: "a b" }, /^POD_UID is "a b": give the UID of our pod/],
  ];
  for (const [environment, message] of wrong)
    assert.throws(() => load({ SERVICE_ACCOUNT: "waypoint", ...environment }), { message });
});

test("cli.md has every flag and every variable of a gateway, and environment.md those of istio-proxy", () => {
  const read = (page: string) => readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", page), "utf8");
  const flags = GATEWAY_FLAGS.map(({ flags: text }) => /--[\w-]+/.exec(text)![0]);
  assert.ok(flags.length > 20 && GATEWAY_VARIABLES.length > 15);
  const page = read("cli.md");
  assert.deepEqual(
    [...flags, ...GATEWAY_VARIABLES].filter((word) => !page.includes(`\`${word}`)),
    [],
  );
  for (const name of Object.keys(POD).filter((name) => name !== "GATEWAY_NAME"))
    assert.ok(read("environment.md").includes(`\`${name}\``), name);
});
