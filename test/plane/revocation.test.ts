import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import { CONFIG_MAPS } from "../../src/kube/resource-types.ts";
import { SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { AuthorityLab, type Files, HOUR_MS, istioFiles, type Replica } from "./authority-lab.ts";
import { KubernetesLab } from "./kubernetes-lab.ts";

const labs: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});
const open = <T extends { close(): Promise<void> }>(lab: T): T => (labs.push(lab), lab);
const problems = ({ authority }: Replica): string =>
  authority
    .problems()
    .map(({ message }) => message)
    .join("\n");
const numbers = ({ seen }: Replica) => seen.at(-1)!.revocations.map(({ number }) => Number(number));

async function authorities() {
  const root = await TestAuthority.create({ name: "CN=root", usages: SIGNS_LISTS });
  const own = await TestAuthority.create({ name: "CN=own", usages: SIGNS_LISTS }, root);
  const files = (lists: string | undefined): Files => ({
    ...istioFiles(own, [root]),
    ...(lists !== undefined && { "ca-crl.pem": lists }),
  });
  return { root, own, files };
}

test("lists in the Secret cacerts are in force from the start, are followed, and go with their file", async () => {
  const lab = open(new AuthorityLab());
  const { root, own, files } = await authorities();
  lab.putSecret("cacerts", files(await root.list({ number: 1 })));
  const replica = lab.replica();
  await lab.pass(100);
  assert.deepEqual(numbers(replica), [1]);
  lab.putSecret(
    "cacerts",
    files((await root.list({ number: 2, revoked: ["0c", "0d"] })) + (await own.list({ number: 7 }))),
  );
  await lab.pass(100);
  assert.deepEqual(numbers(replica), [2, 7]);
  await replica.sign();
  lab.putSecret("cacerts", files(undefined));
  await lab.pass(100);
  assert.deepEqual(numbers(replica), []);
  assert.equal(problems(replica), "");
});

test("cert-manager's layout may have lists, too", async () => {
  const lab = open(new AuthorityLab());
  const { root, own } = await authorities();
  const lists = await root.list({ number: 3 });
  lab.putSecret("cacerts", { "tls.crt": own.root, "tls.key": own.key, "ca.crt": root.root, "ca-crl.pem": lists });
  const replica = lab.replica();
  await lab.pass(100);
  assert.deepEqual(numbers(replica), [3]);
});

test("a list that cannot be used changes nothing, its new authority included, and is a problem; mended, all of it counts", async () => {
  const lab = open(new AuthorityLab());
  const { root, files } = await authorities();
  lab.putSecret("cacerts", files(await root.list({ number: 5, revoked: ["0c"] })));
  const replica = lab.replica();
  await lab.pass(100);
  const stranger = await TestAuthority.create({ name: "CN=stranger", usages: SIGNS_LISTS });
  const second = await TestAuthority.create({ name: "CN=second", usages: SIGNS_LISTS }, root);
  const bad: readonly (readonly [string, RegExp])[] = [
    [await stranger.list(), /Secret istio-system\/cacerts\/ca-crl.pem: list 1: no authority of our chain or our roots/],
    [await root.list({ number: 6, fromMs: lab.now() + HOUR_MS }), /ca-crl.pem: list 1: it is from the future/],
    [await root.list({ number: 4 }), /ca-crl.pem: the list of 20\S+ is older than the one in force/],
    ["", /ca-crl.pem: it holds no X509 CRL/],
  ];
  for (const [lists, why] of bad) {
    lab.putSecret("cacerts", { ...istioFiles(second, [root]), "ca-crl.pem": lists });
    await lab.pass(20_000);
    assert.match(problems(replica), why);
    assert.deepEqual(numbers(replica), [5]);
    assert.match((await replica.sign()).leaf.issuer, /CN=own/);
    assert.ok(replica.ready());
  }
  assert.equal(lab.time.metric("cacerts_refused_total"), bad.length);
  lab.putSecret("cacerts", { ...istioFiles(second, [root]), "ca-crl.pem": await root.list({ number: 6 }) });
  await lab.pass(100);
  assert.deepEqual([problems(replica), numbers(replica)], ["", [6]]);
  assert.match((await replica.sign()).leaf.issuer, /CN=second/);
});

test("at the start, lists that cannot be used are waited for, unless lists are not to be read", async () => {
  const lab = open(new AuthorityLab());
  const { files } = await authorities();
  const stranger = await TestAuthority.create({ name: "CN=stranger", usages: SIGNS_LISTS });
  lab.putSecret("cacerts", files(await stranger.list()));
  const replica = lab.replica();
  const careless = lab.replica({ environment: { PILOT_ENABLE_CA_CRL: "false" } });
  await lab.pass(20_000);
  assert.match(replica.authority.waitingFor()!, /no authority of our chain or our roots/);
  assert.deepEqual([careless.ready(), numbers(careless)], [true, []]);
  lab.putSecret("cacerts", files(undefined));
  await lab.pass(100);
  assert.ok(replica.ready());
});

test("the lists are in every namespace, new ones too, follow each change, and are removed where they stand when there are none", async () => {
  const lab = open(new KubernetesLab(["east"]));
  const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  const server = lab.server("east");
  server.put(namespace("shop"));
  server.put(namespace("kube-public"));
  const maps = () =>
    server
      .list(CONFIG_MAPS)
      .filter(({ metadata }) => metadata.name === "istio-ca-crl")
      .map(({ metadata, data }) => [metadata.namespace, (data as Files)["ca-crl.pem"]]);
  const life = await lab.start();
  life.clusters.publishTrust("roots", "");
  await lab.pass(30_000);
  assert.deepEqual(maps(), []);
  const deletions = () => server.requests.filter(({ verb }) => verb === "DELETE").length;
  life.clusters.publishTrust("roots", "one");
  await lab.pass(5_000);
  server.put(namespace("later"));
  await lab.pass(5_000);
  assert.deepEqual(maps().sort(), [
    ["istio-system", "one"],
    ["later", "one"],
    ["shop", "one"],
  ]);
  life.clusters.publishTrust("roots", "two");
  await lab.pass(5_000);
  assert.deepEqual([...new Set(maps().map(([, pem]) => pem))], ["two"]);
  // Somebody keeps notes in one of them.
  const metadata = { name: "istio-ca-crl", namespace: "later" };
  server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "ca-crl.pem": "two", "notes.txt": "ours" } });
  await lab.pass(1_000);
  assert.equal(deletions(), 0);
  life.clusters.publishTrust("roots", "");
  await lab.pass(60_000);
  assert.deepEqual(maps(), [["later", "two"]]);
  assert.equal(deletions(), 2, "only what is there is removed, and once");
});

test("an edit of a list is mended at once, and what is as it should be is never written again", async () => {
  const lab = open(new KubernetesLab(["east"]));
  const life = await lab.start();
  life.clusters.publishTrust("roots", "one");
  await lab.pass(20_000);
  const writes = () => lab.server("east").requests.filter(({ path }) => path.includes("istio-ca-crl?")).length;
  assert.equal(writes(), 1);
  await lab.pass(1_200_000);
  assert.equal(writes(), 1);
  const metadata = { name: "istio-ca-crl", namespace: "istio-system" };
  lab.put("east", { apiVersion: "v1", kind: "ConfigMap", metadata, data: { "ca-crl.pem": "none" } });
  await lab.pass(5_000);
  const { data } = lab.server("east").get(CONFIG_MAPS, "istio-system", "istio-ca-crl")!;
  assert.deepEqual([writes(), data], [2, { "ca-crl.pem": "one" }]);
});
