import assert from "node:assert/strict";
import { test } from "mocha";
import { parseAllDocuments } from "yaml";
import { exposeCommand } from "../../src/commands/multicluster-expose.ts";
import { linkCommand } from "../../src/commands/multicluster-link.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { GATEWAYS } from "../../src/kube/resource-types.ts";
import { pemBlocks } from "../../src/pem.ts";
import { fingerprintOf } from "../../src/ca/issued-list.ts";
import { decodeOffer } from "../../src/linking/offer-token.ts";
import type { Ran } from "../commands/served-mesh.ts";
import { TestAuthority } from "../kits/tls.ts";
import { LinkedLab, NAMESPACE, SYSTEM } from "./linked-lab.ts";

const root = await TestAuthority.create("CN=root");
const stranger = await TestAuthority.create("CN=stranger");
const ADDRESSES: Readonly<Record<string, string>> = { east: "192.0.2.1", west: "192.0.2.2", north: "192.0.2.3" };

interface TeamOptions {
  readonly authority?: TestAuthority;
  readonly network?: string;
  readonly trustDomain?: string;
}

/** Of one cluster, whose kubeconfig no other team has. */
class Team {
  readonly lab = new LinkedLab();
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  static async of(name: string, { authority = root, network, trustDomain }: TeamOptions = {}): Promise<Team> {
    const team = new Team(name);
    const server = team.lab.cluster(name, authority, network);
    const metadata = { name: "istio", namespace: SYSTEM };
    if (trustDomain !== undefined)
      server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { mesh: `trustDomain: ${trustDomain}\n` } });
    const { code, err } = await team.lab.run(exposeCommand, "--context", name);
    assert.equal(code, 0, err);
    team.lab.program(name, ADDRESSES[name]!);
    return team;
  }

  link(...words: readonly string[]): Promise<Ran> {
    return this.lab.run(linkCommand, "--context", this.name, ...words);
  }

  async offer(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await this.link("--offer", ...words);
    assert.equal(code, 0, err);
    return out.trim();
  }

  remote(peer: string): KubeObject | undefined {
    return this.lab.servers.get(this.name)!.get(GATEWAYS, NAMESPACE, `istio-remote-peer-${peer}`);
  }

  put(object: KubeObject): void {
    this.lab.servers.get(this.name)!.put(object);
  }

  get writes(): number {
    return this.lab.writes(this.name).length;
  }
}

/** As much of an object as a command says. */
const said = (object: KubeObject | undefined): unknown => {
  const { name, namespace, labels, annotations } = object?.metadata ?? {};
  return { name, namespace, labels, annotations, spec: object?.["spec"] };
};

/** The last line of what a command printed. */
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)!;

test("two teams that cannot see each other's clusters make what one who sees both would make", async () => {
  const seeing = new LinkedLab();
  for (const name of ["east", "west"]) seeing.cluster(name, root);
  await seeing.run(exposeCommand, "--contexts", "east,west");
  for (const name of ["east", "west"]) seeing.program(name, ADDRESSES[name]!);
  assert.equal((await seeing.run(linkCommand, "--contexts", "east,west")).code, 0);
  const expected = (cluster: string, peer: string): unknown =>
    said(seeing.servers.get(cluster)!.get(GATEWAYS, NAMESPACE, `istio-remote-peer-${peer}`));

  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const accepted = await west.link("--accept", await east.offer());
  assert.equal(accepted.code, 0, accepted.err);
  const answered = await east.link("--accept", lastLine(accepted.out));
  assert.equal(answered.code, 0, answered.err);
  assert.match(answered.err, /The other one came with the offer of east, which this answers/);
  assert.doesNotMatch(answered.out, /causeway-link/, "an answer to an answer");
  assert.deepEqual(said(west.remote("east")), expected("west", "east"));
  assert.deepEqual(said(east.remote("west")), expected("east", "west"));
});

test("an offer goes to standard output alone, and both teams see the same digits", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const { out, err } = await east.link("--offer");
  assert.match(out, /^causeway-link\.v1\.[\w-]+\.[\w-]+\n$/);
  const digits = /both teams see the digits ([0-9a-f-]{19})/;
  const accepted = await west.link("--accept", out);
  assert.equal(digits.exec(accepted.err)?.[1], digits.exec(err)![1]);
});

test("accepting the same offer again, or one that says the same, changes nothing", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const offer = await east.offer();
  await west.link("--accept", offer);
  const before = west.writes;
  for (const token of [offer, await east.offer("--for", "2h")]) {
    const { code, out, err } = await west.link("--accept", token);
    assert.equal(code, 0, err);
    assert.match(out, /Gateway istio-eastwest\/istio-remote-peer-east unchanged/);
  }
  assert.equal(west.writes, before);
});

test("accept --generate prints what it would apply, and nothing else, for a repository", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const offer = await east.offer();
  const before = west.writes;
  const { code, out, err } = await west.link("--accept", offer, "--generate");
  assert.equal(code, 0, err);
  assert.equal(west.writes, before);
  const [, printed] = parseAllDocuments(out).map((document) => document.toJS() as KubeObject);
  assert.equal(decodeOffer(lastLine(err), west.lab.host.clock.now()).cluster, "west");
  await west.link("--accept", offer);
  assert.deepEqual(said(printed), said(west.remote("east")));
});

test("accept --one-way makes one half, and answers nothing", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const { code, out, err } = await west.link("--accept", await east.offer(), "--one-way");
  assert.equal(code, 0, err);
  assert.ok(west.remote("east"));
  assert.doesNotMatch(out + err, /causeway-link|answer/);
});

test("accept --dry-run says what would be made, what the other would read, and what nobody told", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  west.lab.service("west", "cart");
  east.lab.service("east", "books");
  const before = west.writes;
  const { code, out, err } = await west.link("--accept", await east.offer(), "--dry-run");
  assert.equal(code, 0, out + err);
  assert.equal(west.writes, before);
  assert.match(out, /Gateway istio-eastwest\/istio-remote-peer-east would be made/);
  assert.match(out, /\+ {2}name: istio-remote-peer-east/);
  assert.match(out, /east would read of west: 1 service that west shares/);
  assert.match(out, /shop\/cart .*cart\.shop\.mesh\.internal.* shared/);
  assert.match(out, /CWY3020 What cluster east shares is not known: its offer does not say that/);
  assert.match(out, /CWY3011 cluster west believes cluster east/);
  assert.doesNotMatch(out, /west would read of east|books/);
});

test("accept --wait hands out the answer before it waits, as the other control plane may need it first", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  west.lab.host.clock.after(5_000, () => {
    const types = ["gloo.solo.io/PeerConnected", "gloo.solo.io/PeeringSucceeded"];
    west.put({ ...west.remote("east")!, status: { conditions: types.map((type) => ({ type, status: "True" })) } });
  });
  const { code, out, err } = await west.link("--accept", await east.offer(), "--wait");
  assert.equal(code, 0, err);
  assert.match(err, /waiting: Gateway istio-eastwest\/istio-remote-peer-east of cluster west has no condition/);
  const [, answer, connected] = out.trimEnd().split("\n").slice(-3);
  assert.equal(decodeOffer(answer!, west.lab.host.clock.now()).answers, "east");
  assert.match(connected!, /is connected, and has read all of its peer/);
});

test("a cluster that cannot be reached itself accepts all the same, and is told what an answer lacks", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const door = { name: "istio-eastwest", namespace: NAMESPACE };
  west.lab.servers.get("west")!.remove({ apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", metadata: door });
  const { code, err } = await west.link("--accept", await east.offer());
  assert.equal(code, 0, err);
  assert.ok(west.remote("east"));
  assert.match(
    err,
    /nothing to answer.*CWY3003: .*Fix: causeway multicluster expose --context west\nThen: causeway multicluster link --offer --context west/s,
  );
});

test("clusters of two trust domains are linked with the account, the domain and the ports that the offer says", async () => {
  const east = await Team.of("east", { trustDomain: "east.example" });
  const west = await Team.of("west", { trustDomain: "west.example" });
  const offer = await east.offer("--address", "east=gw.east.example:443:15443");
  const { code, err } = await west.link("--accept", offer);
  assert.equal(code, 0, err);
  const { metadata, spec } = west.remote("east")! as unknown as {
    metadata: { annotations: unknown };
    spec: { addresses: unknown; listeners: readonly { port: number }[] };
  };
  assert.deepEqual(metadata.annotations, { "gateway.istio.io/trust-domain": "east.example" });
  assert.deepEqual(spec.addresses, [{ type: "Hostname", value: "gw.east.example" }]);
  assert.deepEqual(
    spec.listeners.map(({ port }) => port),
    [15443, 443],
  );
});

/** @returns what was said; nothing may have been written. */
async function refused(team: Team, ...words: readonly string[]): Promise<string> {
  const before = team.writes;
  const { code, out, err } = await team.link(...words);
  assert.equal(code, 1, out + err);
  assert.equal(team.writes, before, "something was written");
  assert.match(err, /Nothing was changed, in no cluster/);
  return err;
}

test("an offer whose root nobody here believes is refused, with its fingerprint and what would have it believed", async () => {
  const east = await Team.of("east", { authority: stranger, trustDomain: "east.example" });
  const west = await Team.of("west", { trustDomain: "west.example" });
  const offer = await east.offer();
  const said = await refused(west, "--accept", offer);
  const print = fingerprintOf(pemBlocks(stranger.root, "CERTIFICATE")[0]!);
  assert.match(said, /CWY3010: cluster west would not believe cluster east: they have no root in common/);
  assert.ok(said.includes(`the offer says ${print}`), said);
  assert.doesNotMatch(said, /trust domains of their own/);
  const snippet = said.slice(said.indexOf("caCertificates:"));
  const metadata = { name: "istio", namespace: SYSTEM };
  const data = { mesh: `trustDomain: west.example\n${snippet}` };
  west.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data });
  const { code, err } = await west.link("--accept", offer);
  assert.equal(code, 0, err);
  // Whether east believes west is for east to see, and the answer has it seen.
  assert.match(err, /CWY3010: cluster east would not believe cluster west: .*, as far as its offer says/);
});

test("a strange root for the very trust domain that this cluster has comes with a warning of what that means", async () => {
  const [east, west] = [await Team.of("east", { authority: stranger }), await Team.of("west")];
  assert.match(
    await refused(west, "--accept", await east.offer()),
    /both say that their trust domain is cluster\.local, so whoever has that root's key could then be anybody in either/,
  );
});

test("an offer of the own cluster, or of a network that is another's, is refused", async () => {
  const west = await Team.of("west");
  assert.match(await refused(west, "--accept", await west.offer()), /CWY3042: The offer is of cluster west/);
  const twin = await Team.of("east", { network: "net-west" });
  assert.match(
    await refused(west, "--accept", await twin.offer()),
    /CWY3009: Both clusters are on network net-west.* have the team of east put its network under a name of its own \(kubectl --context east label namespace istio-system topology\.istio\.io\/network=east --overwrite\), and offer again/,
  );
  const [north, third] = [await Team.of("north"), await Team.of("east", { network: "net-north" })];
  await west.link("--accept", await north.offer());
  const offer = await third.offer();
  assert.match(
    await refused(west, "--accept", offer),
    /CWY3043: .*network net-north, and by Gateway istio-eastwest\/istio-remote-peer-north cluster north is, too/,
  );
  assert.equal((await west.link("--accept", offer, "--flat")).code, 0);
});

test("a link that says otherwise is left alone without --replace, whatever it is that differs", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  await west.link("--accept", await east.offer());
  const moved = await east.offer("--address", "east=203.0.113.9:443");
  const said = await refused(west, "--accept", moved);
  assert.match(
    said,
    /CWY3044: .*by Gateway istio-eastwest\/istio-remote-peer-east, and the offer says otherwise: addresses 192\.0\.2\.1 today, 203\.0\.113\.9 in the offer; port 15012 today, 443 in the offer\. Fix: .* accept it with --replace/,
  );
  const { code, err } = await west.link("--accept", moved, "--replace");
  assert.equal(code, 0, err);
  assert.deepEqual((west.remote("east")!["spec"] as { addresses: unknown }).addresses, [
    { type: "IPAddress", value: "203.0.113.9" },
  ]);
  const other = await Team.of("east", { network: "net-other", trustDomain: "other.example" });
  assert.match(
    await refused(west, "--accept", await other.offer("--address", "east=203.0.113.9:443")),
    /says otherwise: network net-east today, net-other in the offer; trust domain cluster\.local today, other\.example in the offer/,
  );
});

test("a link that somebody else made is theirs to change", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  await west.link("--accept", await east.offer());
  const made = west.remote("east")!;
  west.lab.servers.get("west")!.remove(made);
  const { labels } = made.metadata;
  const metadata = { name: "to-east", namespace: "peers", ...(labels && { labels }) };
  west.put({ apiVersion: made.apiVersion, kind: made.kind, metadata, spec: made["spec"] } as unknown as KubeObject);
  const same = await west.link("--accept", await east.offer());
  assert.equal(same.code, 0);
  assert.equal(west.remote("east"), undefined);
  assert.match(
    await refused(west, "--accept", await east.offer("--address", "east=203.0.113.9"), "--replace"),
    /CWY3044: .*change Gateway peers\/to-east, which link did not make, or delete it and accept again/,
  );
});

test("what is damaged, over or of tomorrow ends with 64, and no cluster is asked", async () => {
  const [east, west] = [await Team.of("east"), await Team.of("west")];
  const offer = await east.offer("--for", "30m");
  const asked = west.lab.servers.get("west")!.requests.length;
  const says = async (token: string, expected: RegExp): Promise<void> => {
    const { code, err } = await west.link("--accept", token);
    assert.equal(code, 64);
    assert.match(err, expected);
  };
  await says(offer.slice(0, -5), /--accept: the offer is cut short: copy all of it/);
  await says("west", /--accept: the offer is none that link --offer prints/);
  await east.lab.host.clock.pass(180_000);
  await says(await east.offer(), /--accept: the offer of cluster east says that it was made at .*: set the clock/);
  await west.lab.host.clock.pass(1_800_000);
  await says(offer, /--accept: the offer of cluster east ended at .*: ask the other team for a new one/);
  assert.equal(west.lab.servers.get("west")!.requests.length, asked);
});

test("a cluster that could not be linked to is not offered, and says why", async () => {
  const unproven = await Team.of("east");
  const metadata = { namespace: SYSTEM, name: "istio-ca-root-cert" };
  unproven.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: {} });
  assert.match(await refused(unproven, "--offer"), /CWY3040: Nobody could tell whether to believe cluster east/);
  const many = Array.from({ length: 9 }, () => root.root).join("");
  unproven.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "root-cert.pem": many } });
  assert.match(await refused(unproven, "--offer"), /CWY3040: cluster east has 9 roots, and an offer has room for 8/);

  const west = await Team.of("west");
  assert.match(
    await refused(west, "--offer", "--address", "west=127.0.0.1"),
    /CWY3041: cluster west is said to be at 127\.0\.0\.1, this machine itself/,
  );
  west.put({ ...west.lab.servers.get("west")!.get(GATEWAYS, NAMESPACE, "istio-eastwest")!, status: {} });
  assert.match(await refused(west, "--offer"), /CWY3005: .*has no address of a load balancer yet/);
  west.lab.host.clock.after(3_000, () => west.lab.program("west", "192.0.2.9"));
  const { code, out, err } = await west.link("--offer", "--wait");
  assert.equal(code, 0, err);
  assert.deepEqual(decodeOffer(out, west.lab.host.clock.now()).addresses, ["192.0.2.9"]);
});
