import assert from "node:assert/strict";
import { test } from "mocha";
import { parse, parseAllDocuments } from "yaml";
import { exposeCommand } from "../../src/commands/multicluster-expose.ts";
import { linkCommand } from "../../src/commands/multicluster-link.ts";
import { CONFIG_MAPS, GATEWAYS, NAMESPACES } from "../../src/kube/resource-types.ts";
import type { Ran } from "../commands/served-mesh.ts";
import { TestAuthority } from "../kits/tls.ts";
import { LinkedLab, NAMESPACE, SYSTEM } from "./linked-lab.ts";

const root = await TestAuthority.create("CN=root");
const stranger = await TestAuthority.create("CN=stranger");

/** East and west, exposed, each with an address. */
async function exposed(): Promise<LinkedLab> {
  const lab = new LinkedLab();
  lab.cluster("east", root);
  lab.cluster("west", root);
  const { code, err } = await lab.run(exposeCommand, "--contexts", "east,west");
  assert.equal(code, 0, err);
  lab.program("east", "192.0.2.1");
  lab.program("west", "192.0.2.2");
  return lab;
}

const remote = (lab: LinkedLab, cluster: string, peer: string) =>
  lab.servers.get(cluster)!.get(GATEWAYS, NAMESPACE, `istio-remote-peer-${peer}`);
const addressOf = (lab: LinkedLab, cluster: string, peer: string): unknown =>
  (remote(lab, cluster, peer)?.["spec"] as { addresses?: readonly { value: string }[] } | undefined)?.addresses?.[0]
    ?.value;

const both = (lab: LinkedLab, ...words: readonly string[]): Promise<Ran> =>
  lab.run(linkCommand, "--contexts", "east,west", ...words);

test("expose makes the namespace and the Gateway, with what the control plane and its namespace say", async () => {
  const lab = await exposed();
  const gateway = lab.servers.get("east")!.get(GATEWAYS, NAMESPACE, "istio-eastwest")!;
  assert.deepEqual(gateway.metadata.labels, {
    "istio.io/expose-istiod": "15012",
    "topology.istio.io/cluster": "east",
    "topology.istio.io/network": "net-east",
  });
  assert.ok(lab.servers.get("east")!.get(NAMESPACES, undefined, NAMESPACE));
});

test("expose again changes nothing", async () => {
  const lab = await exposed();
  const before = lab.writes("east").length;
  const { out } = await lab.run(exposeCommand, "--context", "east");
  assert.match(out, /Gateway istio-eastwest\/istio-eastwest unchanged/);
  assert.equal(lab.writes("east").length, before);
});

test("expose --generate with all that it must know asks no cluster, and prints what expose applies", async () => {
  const lab = await exposed();
  const asked = lab.servers.get("east")!.requests.length;
  const { out } = await lab.run(exposeCommand, "--generate", "--cluster", "east", "--network", "net-east");
  assert.equal(lab.servers.get("east")!.requests.length, asked);
  const printed = parseAllDocuments(out).flatMap((document) =>
    document.contents === null ? [] : [document.toJS() as { spec?: unknown }],
  );
  const gateway = lab.servers.get("east")!.get(GATEWAYS, NAMESPACE, "istio-eastwest")!;
  assert.deepEqual(printed[1]!.spec, gateway["spec"]);
});

test("expose with replicas keeps them apart and never has all of them gone", async () => {
  const lab = new LinkedLab();
  lab.cluster("east", root);
  await lab.run(exposeCommand, "--replicas", "2");
  const { data } = lab.servers.get("east")!.get(CONFIG_MAPS, NAMESPACE, "istio-eastwest") as unknown as {
    data: Readonly<Record<string, string>>;
  };
  assert.equal((parse(data["deployment"]!) as { spec: { replicas: number } }).spec.replicas, 2);
  assert.match(data["deployment"]!, /podAntiAffinity/);
  assert.deepEqual(parse(data["podDisruptionBudget"]!), { spec: { minAvailable: 1 } });
});

test("expose of a cluster whose network nobody knows says how to label it, and makes nothing", async () => {
  const lab = new LinkedLab();
  lab.cluster("east", root, "");
  const { code, err } = await lab.run(exposeCommand, "--context", "east");
  assert.equal(code, 2);
  assert.match(err, /kubectl --context east label namespace istio-system topology\.istio\.io\/network=east/);
  assert.deepEqual(lab.writes("east"), []);
});

test("expose --wait says what it waits for, and ends once the Gateway has an address", async () => {
  const lab = new LinkedLab();
  lab.cluster("east", root);
  lab.host.clock.after(3_000, () => lab.program("east", "192.0.2.1"));
  const { code, out, err } = await lab.run(exposeCommand, "--wait");
  assert.equal(code, 0, err);
  assert.match(err, /has no condition Programmed yet/);
  assert.match(out, /is programmed, and has an address/);
});

test("link makes each side's Gateway for the other, and a second time nothing", async () => {
  const lab = await exposed();
  const { code, err } = await both(lab);
  assert.equal(code, 0, err);
  assert.deepEqual([addressOf(lab, "east", "west"), addressOf(lab, "west", "east")], ["192.0.2.2", "192.0.2.1"]);
  const before = [lab.writes("east").length, lab.writes("west").length];
  const again = await both(lab);
  assert.equal(again.code, 0);
  assert.deepEqual([lab.writes("east").length, lab.writes("west").length], before);
});

test("a third cluster only fills the pairs that are missing", async () => {
  const lab = await exposed();
  await both(lab);
  lab.cluster("north", root);
  await lab.run(exposeCommand, "--context", "north");
  lab.program("north", "192.0.2.3");
  const before = lab.writes("east").length;
  await lab.run(linkCommand, "--contexts", "east,west,north");
  assert.equal(addressOf(lab, "north", "west"), "192.0.2.2");
  assert.deepEqual(lab.writes("east").slice(before), [
    `PATCH /apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/gateways/istio-remote-peer-north`,
  ]);
});

test("a link in one direction leaves the other cluster as it is", async () => {
  const lab = await exposed();
  const before = lab.writes("west").length;
  const { code } = await lab.run(linkCommand, "--from", "east", "--to", "west", "--one-way");
  assert.equal(code, 0);
  assert.ok(remote(lab, "east", "west"));
  assert.equal(lab.writes("west").length, before);
});

test("link --dry-run shows what would be made and merged, and changes nothing", async () => {
  const lab = await exposed();
  lab.service("east", "cart");
  lab.service("west", "cart", {
    ports: [
      { port: 80, name: "tcp" },
      { port: 443, name: "https" },
    ],
  });
  lab.service("west", "books");
  lab.service("west", "till");
  lab.service("east", "till", { labels: {} });
  const before = [lab.writes("east").length, lab.writes("west").length];
  const { code, out } = await both(lab, "--dry-run");
  assert.equal(code, 0, out);
  assert.match(out, /\+ {2}name: istio-remote-peer-west/);
  assert.match(out, /CWY3011 cluster east believes cluster west/);
  assert.match(out, /CWY3009 east is on network net-east, west on net-west/);
  assert.match(out, /CWY3022 cart\.shop\.mesh\.internal would be one service of east and west/);
  assert.match(out, /CWY3024 Port 80 of cart\.shop\.mesh\.internal is TCP in west and HTTP in east, which counts/);
  assert.match(out, /443 only in west/);
  assert.match(out, /CWY3021 cluster east would get books\.shop\.mesh\.internal from west/);
  assert.match(out, /CWY3023 cluster east has a Service of that name that it does not share/);
  assert.deepEqual([lab.writes("east").length, lab.writes("west").length], before);
});

test("link --dry-run -o json has a schema, codes, and where each is documented", async () => {
  const lab = await exposed();
  const { out } = await both(lab, "--dry-run", "-o", "json");
  const view = JSON.parse(out) as {
    schema: string;
    findings: { code: string; documentation: string }[];
    changes: { action: string }[];
  };
  assert.equal(view.schema, "causeway.dev/findings/v1");
  assert.ok(
    view.findings.every(({ code, documentation }) => documentation === `docs/linking.md#${code.toLowerCase()}`),
  );
  assert.ok(view.changes.some(({ action }) => action === "create"));
});

/** Both clusters, one of them other than it should be. */
async function refusal(change: (lab: LinkedLab) => void, ...words: readonly string[]): Promise<Ran> {
  const lab = await exposed();
  change(lab);
  const before = [...lab.writes("east"), ...lab.writes("west")].length;
  const ran = await both(lab, ...words);
  assert.equal([...lab.writes("east"), ...lab.writes("west")].length, before, "something was written");
  return ran;
}

test("what would be wrong is refused with a reason, and nothing is changed anywhere", async () => {
  const relabel = (lab: LinkedLab, network: string): void => {
    const labels = network === "" ? {} : { "topology.istio.io/network": network };
    lab.servers.get("west")!.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: SYSTEM, labels } });
  };
  const west = (lab: LinkedLab) => lab.servers.get("west")!;
  const cases: readonly [(lab: LinkedLab) => void, RegExp][] = [
    [(lab) => relabel(lab, ""), /CWY3007: Namespace istio-system of cluster west has no label/],
    [(lab) => relabel(lab, "other"), /CWY3008: .*leads into network net-west, and namespace istio-system says other/],
    [
      (lab) =>
        west(lab).remove({
          apiVersion: "gateway.networking.k8s.io/v1",
          kind: "Gateway",
          metadata: { name: "istio-eastwest", namespace: NAMESPACE },
        }),
      /CWY3003: cluster west has no east-west gateway.*Fix: causeway multicluster expose --context west/,
    ],
    [
      (lab) =>
        west(lab).put({
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { namespace: SYSTEM, name: "istio-ca-root-cert" },
          data: { "root-cert.pem": stranger.root },
        }),
      /CWY3010: cluster east would not believe cluster west: they have no root in common/,
    ],
    [
      (lab) => west(lab).put({ ...west(lab).get(GATEWAYS, NAMESPACE, "istio-eastwest")!, status: {} }),
      /CWY3005: .*has no address of a load balancer yet\. Fix: wait for it with --wait/,
    ],
  ];
  for (const [change, expected] of cases) {
    const { code, err } = await refusal(change);
    assert.match(err, expected);
    assert.equal(code, 1);
  }
});

test("two contexts of one cluster ID, or of one network, are refused, the network unless it is flat", async () => {
  const lab = new LinkedLab();
  lab.cluster("east", root);
  lab.cluster("west", root, "net-east");
  await lab.run(exposeCommand, "--contexts", "east,west");
  lab.program("east", "192.0.2.1");
  lab.program("west", "192.0.2.2");
  assert.match((await both(lab)).err, /CWY3009: Both clusters are on network net-east/);
  assert.equal((await both(lab, "--flat")).code, 0);
  lab.servers.set("twin", lab.servers.get("east")!);
  assert.match(
    (await lab.run(linkCommand, "--contexts", "east,twin")).err,
    /CWY3002: Both clusters say that their ID is east/,
  );
});

test("a cluster that does not answer is named, and nothing is changed in the other", async () => {
  const lab = await exposed();
  lab.servers.get("west")!.faults.silent = true;
  const before = lab.writes("east").length;
  const { code, err } = await both(lab);
  assert.equal(code, 2);
  assert.match(err, /the cluster of context west cannot be read.*Nothing was changed, in no cluster/);
  assert.equal(lab.writes("east").length, before);
});

test("what Helm has in a Gateway is a conflict with the way out, and --adopt takes it over", async () => {
  const lab = await exposed();
  await both(lab);
  const east = lab.servers.get("east")!;
  const path = `/apis/gateway.networking.k8s.io/v1/namespaces/${NAMESPACE}/gateways/istio-remote-peer-west`;
  const body = {
    metadata: { annotations: { "meta.helm.sh/release-name": "peering", "meta.helm.sh/release-namespace": NAMESPACE } },
    spec: { addresses: [{ type: "IPAddress", value: "198.51.100.9" }] },
  };
  const applied = east.connect("helm").call({
    method: "PATCH",
    path: `${path}?fieldManager=helm&force=true`,
    contentType: "application/apply-patch+yaml",
    body,
  });
  await lab.host.clock.pass(10);
  await applied;
  const before = lab.writes("east").length;
  const refused = await both(lab);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /Helm release istio-eastwest\/peering say the same; or take it over with --adopt/);
  assert.equal(lab.writes("east").length, before);
  assert.equal((await both(lab, "--adopt")).code, 0);
  assert.equal(addressOf(lab, "east", "west"), "192.0.2.2");
});

test("a failure half-way says what was applied and what was not", async () => {
  const lab = await exposed();
  lab.servers.get("west")!.faults.forbidden = ({ verb }) => verb === "patch";
  const { code, err } = await both(lab);
  assert.equal(code, 2);
  assert.match(
    err,
    /Applied before: Gateway istio-eastwest\/istio-remote-peer-west in cluster east\. Not applied: Gateway istio-eastwest\/istio-remote-peer-east in cluster west/,
  );
});

test("what was asked for and never answered is neither applied nor not applied", async () => {
  const lab = await exposed();
  lab.servers.get("east")!.faults.tamper = (answer, { method, path }) => {
    // East has its own now, and west is next.
    if (method === "PATCH" && !path.includes("dryRun")) lab.servers.get("west")!.faults.silent = true;
    return answer;
  };
  const { code, err } = await both(lab);
  assert.equal(code, 2);
  assert.match(
    err,
    /Applied before: Gateway [^ ]+-west in cluster east\. Not known, as no answer came: Gateway [^ ]+-east in cluster west\. Not applied: nothing/,
  );
});

test("an address behind NAT is taken as it is given, with its ports", async () => {
  const lab = await exposed();
  const { code, err } = await both(lab, "--address", "west=gw.example:443:15443");
  assert.equal(code, 0, err);
  const { addresses, listeners } = remote(lab, "east", "west")!["spec"] as {
    addresses: unknown;
    listeners: { protocol: string; port: number }[];
  };
  assert.deepEqual(addresses, [{ type: "Hostname", value: "gw.example" }]);
  assert.deepEqual(
    listeners.map(({ protocol, port }) => [protocol, port]),
    [
      ["HBONE", 15443],
      ["TLS", 443],
    ],
  );
});

test("by node ports a peer is reached at its ready nodes, and tunnels go where it says itself", async () => {
  const lab = await exposed();
  const west = lab.servers.get("west")!;
  const node = (name: string, address: string, ready: string): void =>
    void west.put({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
      status: { conditions: [{ type: "Ready", status: ready }], addresses: [{ type: "InternalIP", address }] },
    });
  node("n1", "10.0.0.1", "True");
  node("n2", "10.0.0.2", "False");
  const labels = { "gateway.networking.k8s.io/gateway-name": "istio-eastwest" };
  const ports = [
    { port: 15008, nodePort: 30015 },
    { port: 15012, nodePort: 30016 },
  ];
  west.put({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "istio-eastwest", namespace: NAMESPACE, labels },
    spec: { type: "NodePort", ports },
  });
  const { code, err } = await lab.run(
    linkCommand,
    "--from",
    "east",
    "--to",
    "west",
    "--one-way",
    "--service-type",
    "nodeport",
  );
  assert.equal(code, 0, err);
  const { metadata, spec } = remote(lab, "east", "west")! as unknown as {
    metadata: { annotations: object };
    spec: { addresses: unknown; listeners: { port: number }[] };
  };
  assert.deepEqual(spec.addresses, [{ type: "IPAddress", value: "10.0.0.1" }]);
  assert.deepEqual(
    spec.listeners.map(({ port }) => port),
    [30016],
  );
  assert.deepEqual(metadata.annotations, { "peering.solo.io/preferred-data-plane-service-type": "nodeport" });
});

test("link --wait waits for an address first, then for the link, and says so", async () => {
  const lab = await exposed();
  const west = lab.servers.get("west")!;
  west.put({ ...west.get(GATEWAYS, NAMESPACE, "istio-eastwest")!, status: {} });
  lab.host.clock.after(3_000, () => lab.program("west", "192.0.2.9"));
  lab.host.clock.after(8_000, () => {
    const gateway = remote(lab, "east", "west")!;
    const conditions = ["PeerConnected", "PeeringSucceeded"].map((type) => ({
      type: `gloo.solo.io/${type}`,
      status: "True",
    }));
    lab.servers.get("east")!.put({ ...gateway, status: { conditions } });
  });
  const { code, out, err } = await lab.run(linkCommand, "--from", "east", "--to", "west", "--one-way", "--wait");
  assert.equal(code, 0, err);
  assert.match(
    err,
    /waiting: Gateway istio-eastwest\/istio-eastwest of cluster west has no address of a load balancer yet/,
  );
  assert.match(out, /is connected, and has read all of its peer/);
  assert.equal(addressOf(lab, "east", "west"), "192.0.2.9");
});

test("link called wrongly says what is wrong, and asks no cluster", async () => {
  const lab = await exposed();
  const asked = lab.servers.get("east")!.requests.length;
  const cases: readonly [readonly string[], RegExp][] = [
    [["--contexts", "east"], /two clusters/],
    [["--contexts", "east,west", "--one-way"], /--one-way has a direction/],
    [["--from", "east"], /--from and --to belong together/],
    [["--from", "east", "--to", "east"], /no cluster is a peer of itself/],
    [["--from", "east", "--to", "west", "--context", "east"], /leave one of the two out/],
  ];
  for (const [words, expected] of cases) {
    const { code, err } = await lab.run(linkCommand, ...words);
    assert.match(err, expected);
    assert.equal(code, 64);
  }
  assert.equal(lab.servers.get("east")!.requests.length, asked);
});
