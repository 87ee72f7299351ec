import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { SECRETS } from "../../src/kube/resource-types.ts";
import { TestAuthority } from "../kits/tls.ts";
import { AuthorityLab, istioFiles, type Replica } from "./authority-lab.ts";

const labs: AuthorityLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});

/** Twenty-four spans of a minute: looks are seconds apart, and a day has many. */
const rootWait = "24m";
const SPAN_MS = 60_000;
const lasting = { notAfterMs: Date.now() + 500 * SPAN_MS };
const problems = ({ authority }: Replica): string =>
  authority
    .problems()
    .map(({ message }) => message)
    .join("\n");
const issuer = async (replica: Replica): Promise<string> => (await replica.sign()).leaf.issuer;
const roots = async (replica: Replica): Promise<readonly string[]> =>
  (await replica.sign()).roots.map(({ subject }) => subject);

/** Two roots, an authority under each, and a Secret with the first, of which workloads were told. */
async function open() {
  const lab = new AuthorityLab();
  labs.push(lab);
  const [a, b] = [
    await TestAuthority.create({ name: "CN=a", ...lasting }),
    await TestAuthority.create({ name: "CN=b", ...lasting }),
  ];
  const [ia, ib] = [
    await TestAuthority.create({ name: "CN=ia", ...lasting }, a),
    await TestAuthority.create({ name: "CN=ib", ...lasting }, b),
  ];
  const put = (own: TestAuthority, ...trusted: readonly TestAuthority[]): void =>
    lab.putSecret("cacerts", istioFiles(own, trusted));
  put(ia, a);
  lab.publish(a.root);
  let replica = lab.replica({ rootWait });
  await lab.pass(20_000);
  const restart = async (): Promise<Replica> => {
    const closing = replica.authority.close();
    await lab.pass(100);
    await closing;
    replica = lab.replica({ rootWait });
    await lab.pass(20_000);
    return replica;
  };
  const first = replica;
  const memory = () => JSON.parse(lab.text("causeway-roots", "roots.json")) as { roots: Record<string, unknown>[] };
  const writes = () =>
    lab.server.requests.filter(({ verb, path }) => ["PUT", "POST"].includes(verb) && path.includes("/secrets")).length;
  return { lab, a, b, ia, ib, put, first, restart, memory, writes };
}

test("a root that was new before a restart is waited for as long as without one", async () => {
  const { lab, a, b, ia, ib, put, restart } = await open();
  put(ia, a, b);
  await lab.pass(10 * SPAN_MS);
  const replica = await restart();
  put(ib, a, b);
  await lab.pass(60_000);
  assert.match(await issuer(replica), /CN=ia/);
  assert.match(problems(replica), /root "CN=b" is new to workloads, so the signing certificate under it is used from/);
  await lab.pass(12 * SPAN_MS);
  assert.match(await issuer(replica), /CN=ia/);
  await lab.pass(1.5 * SPAN_MS);
  assert.match(await issuer(replica), /CN=ib/);
});

test("a root that was taken out before a restart stays trusted for as long as without one", async () => {
  const { lab, a, b, ia, ib, put, restart } = await open();
  put(ia, a, b);
  await lab.pass(25 * SPAN_MS);
  put(ib, a, b);
  await lab.pass(60_000);
  put(ib, b);
  lab.publish(`${a.root}\n${b.root}`);
  await lab.pass(5 * SPAN_MS);
  const replica = await restart();
  assert.deepEqual(await roots(replica), ["CN=b", "CN=a"]);
  assert.deepEqual(
    replica.seen.map(({ roots }) => roots.length),
    [2],
    "from the first certificate on",
  );
  await lab.pass(17 * SPAN_MS);
  assert.deepEqual(await roots(replica), ["CN=b", "CN=a"]);
  await lab.pass(1.5 * SPAN_MS);
  assert.deepEqual(await roots(replica), ["CN=b"]);
});

test("a restart during the wait does not sign under the new root: it is not ready, says until when, and then is", async () => {
  const { lab, a, b, ia, ib, put, first, restart } = await open();
  put(ib, a, b);
  await lab.pass(4 * SPAN_MS);
  assert.match(await issuer(first), /CN=ia/);
  let replica = await restart();
  const why = /root "CN=b" is new to workloads, which trust root "CN=a", so nothing may sign under it before 20/;
  assert.match(replica.authority.waitingFor()!, why);
  assert.match(problems(replica), why);
  await lab.pass(10 * SPAN_MS);
  replica = await restart();
  assert.match(replica.authority.waitingFor()!, why);
  put(ia, a, b);
  await lab.pass(20_000);
  assert.match(await issuer(replica), /CN=ia/, "the one of before may sign at once");
  put(ib, a, b);
  replica = await restart();
  assert.equal(replica.ready(), false);
  await lab.pass(10 * SPAN_MS);
  assert.match(await issuer(replica), /CN=ib/);
});

test("what changes while nobody runs is waited for from the next start on, however often that is", async () => {
  const { lab, a, b, ib, put, first, restart } = await open();
  const closing = first.authority.close();
  await lab.pass(100);
  await closing;
  put(ib, a, b);
  assert.equal((await restart()).ready(), false);
  for (let spans = 0; spans < 20; spans += 5) {
    await lab.pass(5 * SPAN_MS);
    assert.equal((await restart()).ready(), false);
  }
  await lab.pass(4 * SPAN_MS);
  assert.match(await issuer(await restart()), /CN=ib/);
});

test("replicas share what they know: each root has one time, and none writes what another has written", async () => {
  const { lab, a, b, ia, put, memory, writes } = await open();
  const others = [lab.replica({ rootWait }), lab.replica({ rootWait })];
  await lab.pass(20_000);
  const before = writes();
  assert.equal(before, 1);
  put(ia, a, b);
  await lab.pass(60_000);
  const [known, added] = [memory().roots[0]!, memory().roots[1]!];
  assert.deepEqual([known["signs"], known["published_at"], added["signs"]], [true, undefined, false]);
  const since = String(added["published_at"]);
  assert.ok(Math.abs(Date.parse(since) - lab.now()) < 120_000);
  await lab.pass(2 * SPAN_MS);
  assert.ok(writes() - before <= 3, `${writes() - before} writes`);
  assert.equal(memory().roots[1]!["published_at"], since);
  assert.ok(others.every((replica) => replica.ready()));
});

test("what is remembered of another mesh, or is damaged, keeps nobody waiting", async () => {
  const { lab, b, ib, put, restart, memory } = await open();
  const metadata = { name: "istio-ca-root-cert", namespace: "istio-system" };
  lab.server.remove({ apiVersion: "v1", kind: "ConfigMap", metadata });
  put(ib, b);
  assert.match(await issuer(await restart()), /CN=ib/, "nobody was told of any root");
  lab.publish(b.root);
  lab.putSecret("causeway-roots", { "roots.json": "{" });
  const replica = await restart();
  assert.match(await issuer(replica), /CN=ib/);
  await lab.pass(20_000);
  assert.equal(memory().roots.length, 1, "and is written anew");
});

test("without the right to remember we serve, and say what to grant", async () => {
  const { lab, a, b, ia, put, restart } = await open();
  lab.server.faults.forbidden = ({ verb, resource }) => verb === "update" && resource === "secrets";
  put(ia, a, b);
  const replica = await restart();
  await lab.pass(60_000);
  assert.ok(replica.ready());
  assert.match(problems(replica), /causeway-roots cannot be written.*forbidden.*grant create and update on it/);
  lab.server.faults.forbidden = undefined;
  await lab.pass(20_000);
  assert.equal(problems(replica), "");
  assert.equal(lab.server.list(SECRETS).length, 2);
});

test("what cannot be remembered holds up nothing else that is to be written", async () => {
  const lab = new AuthorityLab();
  labs.push(lab);
  lab.server.faults.forbidden = ({ verb, resource }) => verb === "update" && resource === "secrets";
  lab.replica({ rootWait });
  await lab.pass(20_000);
  lab.putSecret("causeway-roots", { "roots.json": "{}" });
  const replica = lab.replica({ rootWait });
  await lab.pass(20_000);
  assert.match(problems(replica), /causeway-roots cannot be written/);
  lab.removeSecret("istio-ca-secret");
  await lab.pass(20_000);
  assert.ok(lab.secret("istio-ca-secret"), "is put back");
});
