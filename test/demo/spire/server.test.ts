import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { status } from "@grpc/grpc-js";
import { test } from "mocha";
import { spire } from "../../../proto/gen/mesh.js";
import { EXTENSION, readCertificate } from "../../../src/ca/certificate-fields.ts";
import { toPem } from "../../../src/pem.ts";
import { k8sAgent } from "../../../src/demo/spire/agent-service.ts";
import { SpireStandIn, type SpireStandInOptions } from "../../../src/demo/spire/stand-in.ts";
import { makeCsr } from "../../kits/csr.ts";
import { folderOf } from "../../kits/folder.ts";
import { realHost } from "../../kits/real-host.ts";
import { mintRequest, PATH } from "../../kits/spire-methods.ts";
import { until } from "../../kits/until.ts";
import { failure, RawClient } from "./raw-client.ts";

const TD = "east.test";
const WEB = `spiffe://${TD}/ns/shop/sa/web`;
const AGENT = `spiffe://${TD}/spire/agent/k8s_psat/east/uid-of-node-1`;
const NOTHING = Buffer.alloc(0);

/** A stand-in with a client on its socket. */
async function started(over: Partial<SpireStandInOptions> = {}) {
  const folder = await folderOf({});
  const host = realHost();
  const standIn = await SpireStandIn.start({ host, folder: folder.path, trustDomain: TD, ...over });
  const client = new RawClient(`unix:${standIn.socketPath}`);
  const roots = () => standIn.trust.own.roots.map((root) => toPem("CERTIFICATE", root)).join("");
  return {
    standIn,
    client,
    folder,
    host,
    /** On the TCP port, with an identity that the server has minted; or with none. */
    async over(spiffeId?: string): Promise<RawClient> {
      const address = `127.0.0.1:${standIn.tcpPort}`;
      if (spiffeId === undefined) return new RawClient(address, { roots: roots() });
      const { der: csr, key } = await makeCsr({ uris: [spiffeId] });
      const { svid } = spire.MintX509SvidResponse.decode(await client.call(PATH.mint, mintRequest(csr)));
      const chain = svid!.certChain!.map((der) => toPem("CERTIFICATE", der)).join("");
      return new RawClient(address, { roots: roots(), chain, key });
    },
    async minted(uri = WEB, ttl = 0, dns: readonly string[] = []) {
      const { der: csr } = await makeCsr({ uris: [uri], dns });
      return spire.MintX509SvidResponse.decode(await client.call(PATH.mint, mintRequest(csr, ttl))).svid!;
    },
    async listed(request: spire.IListEntriesRequest = {}) {
      const bytes = spire.ListEntriesRequest.encode(request).finish();
      return spire.ListEntriesResponse.decode(await client.call(PATH.list, bytes));
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await standIn.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const leafOf = (svid: spire.IX509Svid): X509Certificate => new X509Certificate(svid.certChain![0]!);

test("the stand-in says that it is one", async () => {
  await using server = await started();
  assert.match(server.host.lines.join("\n"), /warn spire: this is the demo's stand-in for SPIRE: it attests nobody/);
});

test("a minted leaf looks as SPIRE's do", async () => {
  await using server = await started();
  const svid = await server.minted();
  const leaf = leafOf(svid);
  assert.equal(leaf.subject, "C=US\nO=SPIRE");
  assert.equal(leaf.subjectAltName, `URI:${WEB}`);
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  // digitalSignature, keyEncipherment and keyAgreement.
  const usage = readCertificate(svid.certChain![0]!).extensions.get(EXTENSION.keyUsage);
  assert.deepEqual([usage?.critical, Buffer.from(usage!.value).toString("hex")], [true, "030203a8"]);
  assert.equal(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom), 3_610_000);
  assert.equal(svid.id?.path, "/ns/shop/sa/web");
  assert.equal(Number(svid.expiresAt) * 1000, Date.parse(leaf.validTo));
  const { x509Authorities } = spire.Bundle.decode(await server.client.call(PATH.bundle, NOTHING));
  assert.equal(x509Authorities.length, 1);
  assert.ok(leaf.verify(new X509Certificate(x509Authorities[0]!.asn1!).publicKey));
});

test("a leaf lives as long as was asked, and no longer than the authority", async () => {
  await using server = await started({ caTtlSeconds: 7_200 });
  const now = Date.now();
  assert.ok(Math.abs(Number((await server.minted(WEB, 60)).expiresAt) * 1000 - now - 60_000) < 5_000);
  const root = new X509Certificate(server.standIn.trust.own.roots[0]!);
  assert.equal(Number((await server.minted(WEB, 2_592_000)).expiresAt) * 1000, Date.parse(root.validTo));
});

test("the first DNS name of a request becomes the common name", async () => {
  await using server = await started();
  const leaf = leafOf(await server.minted(WEB, 0, ["web.shop", "www.shop"]));
  assert.equal(leaf.subject, "C=US\nO=SPIRE\nCN=web.shop");
  assert.equal(leaf.subjectAltName, `DNS:web.shop, DNS:www.shop, URI:${WEB}`);
});

const REFUSED: readonly (readonly [readonly string[], string])[] = [
  [[], "CSR URI SAN is required"],
  [[WEB, `${WEB}-2`], "only one URI SAN is expected"],
  [
    ["spiffe://west.test/ns/shop/sa/web"],
    'CSR URI SAN is invalid: "spiffe://west.test/ns/shop/sa/web" is not a member',
  ],
  [[`spiffe://${TD}`], "CSR URI SAN is invalid"],
  [[`spiffe://${TD}/spire/agent/x`], "reserved namespace"],
  [[`${WEB}/`], "path cannot have a trailing slash"],
  [[`spiffe://${TD}/ns/../web`], "path cannot contain dot segments"],
  [[`${WEB}?a=b`], "path segment characters are limited"],
  [[`spiffe://${TD}/a%61`], "path segment characters are limited"],
  [["spiffe://EAST.test/web"], "trust domain characters are limited"],
  [[`https://${TD}/web`], "scheme is missing or invalid"],
];

test("a request is minted only for one workload of the server's own trust domain", async () => {
  await using server = await started();
  for (const [uris, why] of REFUSED) {
    const { der: csr } = await makeCsr({ uris });
    const said = await failure(server.client.call(PATH.mint, mintRequest(csr)));
    assert.ok(said.startsWith("INVALID_ARGUMENT: ") && said.includes(why), `${uris.join()}: ${said}`);
  }
});

test("a request that was tampered with, or is none, is not minted", async () => {
  await using server = await started();
  const { der: csr } = await makeCsr({ uris: [WEB] });
  const ask = (bytes: Buffer): Promise<string> => failure(server.client.call(PATH.mint, mintRequest(bytes)));
  assert.equal(await ask(NOTHING), "INVALID_ARGUMENT: missing CSR");
  assert.match(await ask(Buffer.from("abc")), /^INVALID_ARGUMENT: malformed CSR: /);
  assert.match(await ask(Buffer.concat([csr, Buffer.of(0)])), /^INVALID_ARGUMENT: malformed CSR: /);
  const at = csr.length - 3;
  csr[at] = csr[at]! ^ 1;
  assert.match(await ask(csr), /^INVALID_ARGUMENT: failed to verify CSR signature: /);
});

const IDS = { trustDomain: TD, path: "/ns/shop/sa/web" };
const entry = (over: spire.IEntry = {}): spire.IEntry => ({
  spiffeId: IDS,
  parentId: { trustDomain: TD, path: "/spire/agent/k8s_psat/east/uid-of-node-1" },
  selectors: [
    { type: "k8s", value: "ns:shop" },
    { type: "k8s", value: "sa:web" },
  ],
  ...over,
});

async function created(client: RawClient, ...entries: spire.IEntry[]) {
  const bytes = spire.BatchCreateEntryRequest.encode({ entries }).finish();
  return spire.BatchCreateEntryResponse.decode(await client.call(PATH.create, bytes)).results;
}

test("an entry that is there already is answered with the one that is there", async () => {
  await using server = await started();
  const [first] = await created(server.client, entry());
  assert.equal(first?.status?.code, status.OK);
  const reversed = [...entry().selectors!].reverse();
  const [again] = await created(server.client, entry({ selectors: reversed, hint: "other" }));
  assert.deepEqual(
    [again?.status?.code, again?.status?.message, again?.entry?.id, again?.entry?.hint],
    [status.ALREADY_EXISTS, "similar entry already exists", first?.entry?.id, ""],
  );
});

test("each entry of a batch has its own answer", async () => {
  await using server = await started();
  const results = await created(
    server.client,
    entry({ spiffeId: { trustDomain: "west.test", path: "/x" } }),
    entry({ selectors: [] }),
    entry({ federatesWith: ["west.test"] }),
    entry({ id: "ours.1" }),
    entry({ id: "ours.1", spiffeId: { trustDomain: TD, path: "/other" } }),
  );
  const { ALREADY_EXISTS, INTERNAL, INVALID_ARGUMENT, OK } = status;
  assert.deepEqual(
    results.map((result) => result.status?.code),
    [INVALID_ARGUMENT, INVALID_ARGUMENT, INTERNAL, OK, ALREADY_EXISTS],
  );
  assert.match(results[2]!.status!.message!, /unable to find federated bundle "spiffe:\/\/west.test"/);
});

test("entries are changed by what a mask names, and deleted by their ids", async () => {
  await using server = await started();
  await created(server.client, entry({ id: "one", hint: "old", x509SvidTtl: 60 }));
  const ask = spire.BatchUpdateEntryRequest.encode({
    entries: [
      { id: "one", hint: "new" },
      { id: "none", hint: "new" },
    ],
    inputMask: { hint: true },
  }).finish();
  const { results } = spire.BatchUpdateEntryResponse.decode(await server.client.call(PATH.update, ask));
  assert.deepEqual(
    results.map((result) => result.status?.code),
    [status.OK, status.NOT_FOUND],
  );
  const { hint, x509SvidTtl, revisionNumber } = results[0]!.entry!;
  assert.deepEqual([hint, x509SvidTtl, Number(revisionNumber)], ["new", 60, 1]);
  const ids = ["one", "none", ""];
  const bytes = spire.BatchDeleteEntryRequest.encode({ ids }).finish();
  const deleted = spire.BatchDeleteEntryResponse.decode(await server.client.call(PATH.delete, bytes)).results;
  assert.deepEqual(
    deleted.map((result) => result.status?.code),
    [status.OK, status.NOT_FOUND, status.INVALID_ARGUMENT],
  );
  assert.deepEqual((await server.listed()).entries, []);
});

test("entries are listed by identity, parent and selectors, page by page until an empty token", async () => {
  await using server = await started();
  const [a, b, c] = ["/ns/a/sa/x", "/ns/b/sa/x", "/ns/c/sa/x"].map((path) => `spiffe://${TD}${path}`) as [
    string,
    string,
    string,
  ];
  const parentId = AGENT;
  server.standIn.entries.put(
    { id: "a", spiffeId: a, parentId, selectors: ["k8s:ns:a"] },
    { id: "b", spiffeId: b, parentId, selectors: ["k8s:ns:b", "k8s:sa:x"] },
    { id: "c", spiffeId: c, parentId: `spiffe://${TD}/spire/server`, selectors: ["k8s:sa:x"] },
  );
  const ids = async (filter: spire.IEntryFilter): Promise<string[]> =>
    (await server.listed({ filter })).entries.map(({ id }) => id!);
  const having = (match: spire.SelectorMatch.Behavior, ...values: string[]): spire.IEntryFilter => ({
    bySelectors: { match, selectors: values.map((value) => ({ type: "k8s", value })) },
  });
  const { MATCH_ANY, MATCH_EXACT, MATCH_SUBSET, MATCH_SUPERSET } = spire.SelectorMatch.Behavior;
  assert.deepEqual(await ids({ bySpiffeId: { trustDomain: TD, path: "/ns/b/sa/x" } }), ["b"]);
  assert.deepEqual(await ids({ byParentId: { trustDomain: TD, path: "/spire/server" } }), ["c"]);
  assert.deepEqual(await ids(having(MATCH_EXACT, "sa:x")), ["c"]);
  assert.deepEqual(await ids(having(MATCH_SUPERSET, "sa:x")), ["b", "c"]);
  assert.deepEqual(await ids(having(MATCH_SUBSET, "sa:x", "ns:a")), ["a", "c"]);
  assert.deepEqual(await ids(having(MATCH_ANY, "ns:a", "ns:b")), ["a", "b"]);
  const pages: string[][] = [];
  let pageToken = "";
  do {
    const page = await server.listed({ pageSize: 2, pageToken });
    pages.push(page.entries.map(({ id }) => id!));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  assert.deepEqual(pages, [["a", "b"], ["c"], []]);
});

test("a list may come in pages that nobody asked for, and break off after some", async () => {
  await using server = await started();
  for (const id of ["a", "b", "c"])
    server.standIn.entries.put({ id, spiffeId: `spiffe://${TD}/${id}`, parentId: AGENT, selectors: ["k8s:ns:a"] });
  server.standIn.faults = { pageMax: 2, failAfterPages: 1 };
  const { entries, nextPageToken: pageToken } = await server.listed();
  assert.equal(entries.length, 2);
  assert.match(await failure(server.listed({ pageToken })), /^INTERNAL: /);
});

test("the file of entries can be edited while the server runs, and what cannot be read changes nothing", async () => {
  await using server = await started();
  const path = server.folder.at("entries.json");
  const list = (...entries: readonly object[]): Promise<void> => writeFile(path, JSON.stringify({ entries }));
  const web = { id: "web", spiffeId: WEB, parentId: AGENT, selectors: ["k8s:sa:web"] };
  await list(web);
  await server.standIn.entries.look();
  assert.deepEqual((await server.listed()).entries[0]?.spiffeId?.path, "/ns/shop/sa/web");
  await writeFile(path, "{");
  await server.standIn.entries.look();
  await list({ ...web, spiffeId: "spiffe://west.test/x" });
  await server.standIn.entries.look();
  assert.equal((await server.listed()).entries.length, 1);
  assert.match(
    server.host.lines.join("\n"),
    /error spire: the stand-in's file cannot be read; .* why=invalid spiffe ID: /,
  );
  await list();
  // As nobody asks it to look now.
  await until(() => server.standIn.entries.all().length === 0);
  server.standIn.entries.put({ ...web, hint: "by the program" });
  await server.standIn.settled();
  assert.match(await readFile(path, "utf8"), /by the program/);
});

const WRONG_FILES: Readonly<Record<string, string>> = {
  '{"entries": {}}': 'it must be {"entries": [...]}',
  '{"entries": [{"spiffeId": "spiffe://east.test/a", "parentId": "spiffe://east.test/b"}]}':
    "entry 1: it lacks selectors",
  '{"entries": [{"selector": ["k8s:ns:a"]}]}':
    "entry 1: there is no field selector, but id, spiffeId, parentId, selectors",
  '{"entries": [{"selectors": "k8s:ns:a"}]}': "entry 1: selectors must be a list of strings",
  '{"entries": [{"x509SvidTtlSeconds": "60"}]}': "entry 1: x509SvidTtlSeconds must be a number",
};

test("what is wrong in the file of entries is said by entry and field", async () => {
  await using server = await started();
  for (const [text, why] of Object.entries(WRONG_FILES)) {
    await writeFile(server.folder.at("entries.json"), text);
    await server.standIn.entries.look();
    assert.ok(server.host.lines.at(-1)!.includes(why), `${text}: ${server.host.lines.at(-1)}`);
  }
});

test("agents are listed with the node that each is on", async () => {
  await using server = await started({ agents: [k8sAgent(TD, "east", "node-1", Date.now() + 3_600_000)] });
  const { agents } = spire.ListAgentsResponse.decode(await server.client.call(PATH.agents, NOTHING));
  assert.equal(agents.length, 1);
  const selectors = agents[0]!.selectors!.map(({ type, value }) => `${type}:${value}`);
  assert.ok(selectors.includes("k8s_psat:agent_node_name:node-1"), selectors.join());
  assert.ok(selectors.includes("k8s_psat:cluster:east"), selectors.join());
});

/** What the server's TCP port lets each of three do, and whom nobody knows. */
test("over TCP, a caller may do what its entry says", async () => {
  await using server = await started();
  const names = ["admin", "downstream", "nobody"] as const;
  for (const name of names.slice(0, 2))
    server.standIn.entries.put({
      spiffeId: `spiffe://${TD}/${name}`,
      parentId: AGENT,
      selectors: [`k8s:sa:${name}`],
      [name]: true,
    });
  const allowed = async (who: string | undefined): Promise<string[]> => {
    using client = await server.over(who === undefined ? undefined : `spiffe://${TD}/${who}`);
    const found: string[] = [];
    for (const [name, path] of Object.entries(PATH).slice(0, 9))
      if (!(await failure(client.call(path, NOTHING))).startsWith("PERMISSION_DENIED: ")) found.push(name);
    return found;
  };
  const all = ["mint", "bundle", "federated", "list", "create", "update", "delete", "agents"];
  assert.deepEqual(await allowed("admin"), all);
  assert.deepEqual(await allowed("downstream"), ["downstream", "bundle"]);
  assert.deepEqual(await allowed("nobody"), ["bundle"]);
  assert.deepEqual(await allowed(undefined), ["bundle"]);
  assert.match(
    await failure(server.client.call(PATH.downstream, NOTHING)),
    /^PERMISSION_DENIED: authorization denied for method \/spire.api.server.svid.v1.SVID\/NewDownstreamX509CA$/,
  );
});

test("an authority of another's making is below the server's, and ends with it", async () => {
  await using server = await started({ above: [2, 1] });
  const spiffeId = `spiffe://${TD}/plane`;
  server.standIn.entries.put({ spiffeId, parentId: AGENT, selectors: ["k8s:sa:istiod"], downstream: true });
  using client = await server.over(spiffeId);
  const { der: csr } = await makeCsr({ uris: [] });
  const bytes = spire.NewDownstreamX509CaRequest.encode({ csr, preferredTtl: 2_000_000_000 }).finish();
  const answer = spire.NewDownstreamX509CaResponse.decode(await client.call(PATH.downstream, bytes));
  const chain = [...answer.caCertChain, ...answer.x509Authorities].map((der) => new X509Certificate(der));
  assert.equal(chain.length, 4);
  for (const [at, certificate] of chain.entries()) {
    assert.ok(certificate.ca);
    assert.ok(certificate.verify((chain[at + 1] ?? certificate).publicKey), `certificate ${at}`);
  }
  assert.match(chain[0]!.subject, /^C=US\nO=SPIFFE\nOU=DOWNSTREAM-2\nserialNumber=/);
  assert.equal(chain[0]!.validTo, chain[1]!.validTo);
});

test("a new authority joins the bundle before the old one leaves it", async () => {
  await using server = await started();
  const bundle = async () => spire.Bundle.decode(await server.client.call(PATH.bundle, NOTHING));
  const before = await bundle();
  await server.standIn.rotate();
  const both = await bundle();
  assert.deepEqual([both.x509Authorities.length, Number(both.sequenceNumber)], [2, Number(before.sequenceNumber) + 1]);
  assert.ok(leafOf(await server.minted()).verify(new X509Certificate(both.x509Authorities[1]!.asn1!).publicKey));
  server.standIn.trust.taintOld();
  assert.deepEqual(
    (await bundle()).x509Authorities.map(({ tainted }) => tainted),
    [true, false],
  );
  server.standIn.trust.dropOld();
  const after = await bundle();
  assert.deepEqual(
    after.x509Authorities.map(({ asn1 }) => Buffer.from(asn1!).toString("base64")),
    [Buffer.from(both.x509Authorities[1]!.asn1!).toString("base64")],
  );
  await server.standIn.settled();
  // Its own certificate is of the new one, too: who knows only that can still call.
  using client = await server.over();
  assert.equal(await failure(client.call(PATH.bundle, NOTHING)), "OK");
});

test("what another trust domain is verified by is listed beside our own", async () => {
  await using west = await started({ trustDomain: "west.test" });
  await using server = await started();
  server.standIn.trust.federate("west.test", west.standIn.trust.own.roots);
  const { bundles } = spire.ListFederatedBundlesResponse.decode(await server.client.call(PATH.federated, NOTHING));
  assert.deepEqual(
    bundles.map(({ trustDomain, x509Authorities }) => [trustDomain, x509Authorities!.length]),
    [["west.test", 1]],
  );
  // Our own takes a place in the pages, and is not in them.
  const ask = (pageToken: string) => spire.ListFederatedBundlesRequest.encode({ pageSize: 1, pageToken }).finish();
  const page = async (token: string) =>
    spire.ListFederatedBundlesResponse.decode(await server.client.call(PATH.federated, ask(token)));
  const first = await page("");
  assert.deepEqual(first.bundles, []);
  assert.equal((await page(first.nextPageToken)).bundles[0]?.trustDomain, "west.test");
});

test("another trust domain's server vouches for its own identities, and for none of ours", async () => {
  await using west = await started({ trustDomain: "west.test" });
  // The one that a faulty server writes into what it signs.
  const ours = "elsewhere.test";
  const adminIds = ["spiffe://west.test/ops", `spiffe://${ours}/ops`];
  await using server = await started({ trustDomain: ours, adminIds });
  server.standIn.trust.federate("west.test", west.standIn.trust.own.roots);
  await server.standIn.settled();
  const asked = async (leaf?: "other-trust-domain"): Promise<string> => {
    west.standIn.faults = leaf === undefined ? {} : { leaf };
    const { der: csr, key } = await makeCsr({ uris: ["spiffe://west.test/ops"] });
    const { svid } = spire.MintX509SvidResponse.decode(await west.client.call(PATH.mint, mintRequest(csr)));
    const chain = svid!.certChain!.map((der) => toPem("CERTIFICATE", der)).join("");
    const roots = server.standIn.trust.own.roots.map((root) => toPem("CERTIFICATE", root)).join("");
    using client = new RawClient(`127.0.0.1:${server.standIn.tcpPort}`, { roots, chain, key });
    return await failure(client.call(PATH.list, NOTHING));
  };
  assert.equal(await asked(), "OK");
  assert.match(await asked("other-trust-domain"), /^PERMISSION_DENIED: /);
});

test("a server that is stopped is nowhere, and comes back where it was", async () => {
  await using server = await started();
  const { tcpPort } = server.standIn;
  await server.standIn.stop();
  assert.match(await failure(server.client.call(PATH.bundle, NOTHING)), /^UNAVAILABLE: /);
  await server.standIn.resume();
  assert.equal(server.standIn.tcpPort, tcpPort);
  using again = new RawClient(`unix:${server.standIn.socketPath}`);
  assert.equal(await failure(again.call(PATH.bundle, NOTHING)), "OK");
});

test("faults show in what is signed, and are gone when they are mended", async () => {
  await using server = await started();
  const root = () => new X509Certificate(server.standIn.trust.own.roots[0]!);
  server.standIn.faults = { leaf: "other-identity" };
  assert.equal(leafOf(await server.minted()).subjectAltName, `URI:${WEB}-2`);
  server.standIn.faults = { leaf: "two-names" };
  assert.match(leafOf(await server.minted()).subjectAltName!, /, URI:/);
  server.standIn.faults = { leaf: "authority" };
  assert.equal(leafOf(await server.minted()).ca, true);
  server.standIn.faults = { leaf: "other-issuer" };
  assert.equal(leafOf(await server.minted()).verify(root().publicKey), false);
  server.standIn.faults = { leaf: "expired" };
  assert.ok(Date.parse(leafOf(await server.minted()).validTo) < Date.now());
  server.standIn.faults = { leaf: "from-the-future" };
  assert.ok(Date.parse(leafOf(await server.minted()).validFrom) > Date.now());
  server.standIn.faults = {};
  const leaf = leafOf(await server.minted());
  assert.deepEqual([leaf.subjectAltName, leaf.ca, leaf.verify(root().publicKey)], [`URI:${WEB}`, false, true]);
});

test("faults show in the bundle, and in what the server says", async () => {
  await using server = await started();
  const bundle = async () => spire.Bundle.decode(await server.client.call(PATH.bundle, NOTHING));
  server.standIn.faults = { bundleOf: "elsewhere.test" };
  assert.equal((await bundle()).trustDomain, "elsewhere.test");
  server.standIn.faults = { bundle: "expired" };
  assert.ok(Date.parse(new X509Certificate((await bundle()).x509Authorities[0]!.asn1!).validTo) < Date.now());
  server.standIn.faults = { bundle: "empty" };
  assert.equal((await bundle()).x509Authorities.length, 0);
  server.standIn.faults = { refuse: { GetBundle: { code: status.RESOURCE_EXHAUSTED, message: "too much" } } };
  assert.equal(await failure(bundle()), "RESOURCE_EXHAUSTED: too much");
});

test("a server that has locked up answers all but what must be signed, and counts who gave up", async () => {
  await using server = await started();
  server.standIn.faults = { silent: ["MintX509SVID"] };
  const { der: csr } = await makeCsr({ uris: [WEB] });
  assert.match(await failure(server.client.call(PATH.mint, mintRequest(csr), 50)), /^DEADLINE_EXCEEDED: /);
  assert.equal(await failure(server.client.call(PATH.bundle, NOTHING)), "OK");
  await until(() => server.standIn.calls.cancelled === 1);
  const { started: counted, inFlight, inFlightMax } = server.standIn.calls;
  assert.deepEqual([counted.get("MintX509SVID"), counted.get("GetBundle"), inFlight, inFlightMax], [1, 1, 0, 1]);
});
