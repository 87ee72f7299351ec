import assert from "node:assert/strict";
import { test } from "mocha";
import { IDENTITY_MODES } from "../../../src/spire-config.ts";
import type { SpireCheck } from "../../../src/spire/status/check.ts";
import { spireChecks } from "../../../src/spire/status/checks.ts";
import { NO_CENSUS } from "../../../src/spire/status/census.ts";
import type { SpireFacts } from "../../../src/spire/status/facts.ts";
import { agent, bundle, census, goodFacts, NOW, peer, registrar, root, server } from "./good-facts.ts";

const checks = (more: Partial<SpireFacts>): readonly SpireCheck[] => spireChecks(goodFacts(more));
const check = (name: string, more: Partial<SpireFacts>): SpireCheck =>
  checks(more).find((one) => one.name === name) ?? assert.fail(`there is no check ${name}`);

/** The state of one check, and what it says. */
function assertCheck(name: string, more: Partial<SpireFacts>, state: SpireCheck["state"], ...says: readonly RegExp[]) {
  const found = check(name, more);
  const text = `${found.evidence}\n${found.fix}`;
  assert.equal(found.state, state, text);
  for (const pattern of says) assert.match(text, pattern);
}

test("where nothing is wrong every check is ok, and asks for nothing", () => {
  const good = checks({});
  assert.deepEqual(
    good.filter(({ state, fix }) => state !== "ok" || fix !== ""),
    [],
  );
  assert.deepEqual(
    good.map(({ name }) => name),
    [
      ...["mode", "server", "agent", "identity", "may sign", "bundle east.test", "bundle west.test", "peer west"],
      ...["node agents", "entries", "templates", "registrar", "delegates", "refusals"],
    ],
  );
});

test("whatever is not ok says what mends it, or where to see it", () => {
  const broken: readonly Partial<SpireFacts>[] = [
    { server: server({ connected: false, error: "it is away" }), agent: agent({ connected: false, error: "gone" }) },
    { own: undefined, bundles: [bundle({ roots: [] })], census: NO_CENSUS },
    { mode: "spire-downstream", delegates: [{ who: "Gateway a/b", spiffeId: "spiffe://x/y", proven: 0 }] },
  ];
  const found = broken.flatMap((facts) => checks(facts)).filter(({ state }) => state !== "ok");
  assert.ok(found.length > 6);
  for (const { name, evidence, fix } of found) assert.ok(evidence !== "" && fix !== "", name);
});

test("each mode has the checks that it can fail by, and mesh asks nothing of SPIRE", () => {
  const nobody = { server: undefined, agent: undefined, own: undefined, census: undefined, registration: undefined };
  const names = Object.fromEntries(
    IDENTITY_MODES.map((mode) => [mode, checks({ ...nobody, mode, bundles: [], peers: [] }).map(({ name }) => name)]),
  );
  assert.deepEqual(names, {
    mesh: ["mode"],
    spire: ["mode", "delegates", "refusals"],
    "spire-downstream": ["mode", "authority", "delegates", "refusals"],
    external: ["mode", "delegates", "refusals"],
  });
});

test("a server that is away fails, with its error, since when, and what still stands", () => {
  const away = server({ connected: false, error: "SPIRE's server at 10.9.0.1:8081: nothing listens there" });
  assertCheck(
    "server",
    { server: away },
    "fail",
    /nothing listens there; it answered last 3s ago/,
    /good until they end/,
  );
  const never = server({ connected: undefined, answeredAt: undefined, inFlight: 0 });
  assertCheck("server", { server: never }, "unknown", /has not answered yet/);
});

test("a server with whom calls hang, or wait in line, is a warning", () => {
  const hanging = server({ answeredAt: NOW - 120_000, inFlight: 16, waiting: 3 });
  assertCheck("server", { server: hanging }, "warn", /is slow: it answered last 2m ago; 16 calls in flight, 3 waiting/);
  assertCheck("server", { server: server({ inFlight: 16, waiting: 17 }) }, "warn", /17 waiting/);
  assertCheck("server", { server: server({ inFlight: 16, waiting: 16 }) }, "ok");
});

test("an agent that is away fails with what it said last; our SVID is held to its renewal", () => {
  const away = agent({ connected: false, error: "SPIRE's agent: there is no socket" });
  assertCheck("agent", { agent: away }, "fail", /there is no socket; it said something last 20m ago/, /--spire-agent/);
  assertCheck("identity", { own: undefined }, "fail", /given us no SVID/);
  const own = { spiffeId: "spiffe://east.test/us", notBefore: NOW - 3_000_000, notAfter: NOW + 600_000 };
  assertCheck("identity", { own }, "warn", /us until 2026-11-21T06:10:00Z, in 10m/, /half of its life/);
  assertCheck("identity", { own: { ...own, notAfter: NOW } }, "fail", /was good until/);
});

test("who is no administrator learns which entry lacks what; over the socket which policy to look at", () => {
  const rights = new Map([
    ["ListAgents", { role: "admin", at: NOW - 5_000, denied: "our identity is no admin" }],
  ] as const);
  assertCheck("may sign", { server: server({ rights }) }, "fail", /no admin \(5s ago\)/, /istiod admin: true/);
  const socket = server({ rights, spiffeId: undefined });
  assertCheck("may sign", { server: socket, agent: undefined, own: undefined }, "fail", /auth_opa_policy_engine/);
  assertCheck("may sign", { server: server({ rights: new Map() }) }, "unknown");
  const minting = { role: "admin", at: NOW - 60_000, denied: "no" } as const;
  const narrowed = new Map([...server().rights, ["MintX509SVID", minting] as const]);
  assertCheck(
    "may sign",
    { server: server({ rights: narrowed }) },
    "warn",
    /call ListEntries, last 40s ago; .*MintX509SVID, 1m/,
  );
});

test("an authority that SPIRE has not given, or not renewed, is said with why", () => {
  const mode = "spire-downstream" as const;
  assertCheck(
    "authority",
    { mode, authority: { notAfter: undefined, faults: [] } },
    "fail",
    /nobody gets a certificate/,
  );
  const late = { severity: "warning", message: "It could not be renewed." };
  const authority = { notAfter: NOW + 3_600_000, faults: [late] };
  assertCheck("authority", { mode, authority }, "warn", /until 2026-11-21T07:00:00Z, in 1h. It could not be renewed/);
  const rights = new Map([["NewDownstreamX509CA", { role: "downstream", at: NOW, denied: "no" }]] as const);
  const denied = { mode, authority: { notAfter: undefined, faults: [] }, server: server({ rights }) };
  assertCheck("authority", denied, "fail", /sa\/istiod downstream: true/);
  assertCheck("authority", { mode, authority: { notAfter: NOW + 3_600_000, faults: [] } }, "ok");
});

test("a bundle fails once all its roots have ended, or none is known, and warns in their last third", () => {
  const of = (more: Parameters<typeof bundle>[0]) => ({ bundles: [bundle(more)] });
  assertCheck(
    "bundle east.test",
    of({ roots: [], saidAt: undefined }),
    "fail",
    /no root of our own trust domain is known/,
  );
  const ended = root("a", { notAfter: NOW });
  assertCheck("bundle east.test", of({ roots: [ended] }), "fail", /every root of our own trust domain has ended/);
  assertCheck("bundle east.test", of({ roots: [ended, root("b")] }), "ok", /2 roots/);
  const late = root("a", { notBefore: NOW - 20 * 3_600_000, notAfter: NOW + 4 * 3_600_000 });
  assertCheck(
    "bundle east.test",
    of({ roots: [late] }),
    "warn",
    /the last ends 2026-11-21T10:00:00Z/,
    /next authority/,
  );
  assertCheck(
    "bundle east.test",
    of({ roots: [root("a", { tainted: true }), root("b")] }),
    "warn",
    /tainted: CN=root a/,
  );
});

test("a bundle that is old, remembered or not to be used is said so, with who says it", () => {
  const of = (more: Parameters<typeof bundle>[0]) => ({ bundles: [bundle(more)] });
  assertCheck("bundle east.test", of({ saidAt: NOW - 90_000 }), "warn", /from SPIRE's server, 1m ago/);
  assertCheck("bundle east.test", of({ saidAt: undefined }), "warn", /remembered from before our start/);
  assertCheck("bundle east.test", of({ refused: "it is of x.test" }), "fail", /not in use: it is of x\.test/);
  const old = { source: "SPIRE's agent", saidAt: NOW - 90_000 };
  // An agent says something when it changes.
  assertCheck("bundle east.test", of(old), "ok");
  const away = agent({ connected: false, error: "gone" });
  assertCheck("bundle east.test", { ...of(old), agent: away }, "warn");
});

test("a bundle that is read elsewhere is held to its own readings, and may be empty", () => {
  const of = (more: Parameters<typeof bundle>[0]) => ({
    bundles: [bundle({ trustDomain: "north.test", source: "https://north.test/", ...more })],
  });
  assertCheck("bundle north.test", of({ saidAt: NOW - 1_200_000 }), "ok", /from https:\/\/north\.test\/, 20m ago/);
  assertCheck("bundle north.test", of({ unread: "it answers 404" }), "warn", /cannot be read now: it answers 404/);
  assertCheck("bundle north.test", of({ roots: [] }), "warn", /says at https:\/\/north\.test\/ that it has no roots/);
  const never = { roots: [], saidAt: undefined, refused: "it answers 404" };
  assertCheck("bundle north.test", of(never), "fail", /none of its roots is in use: it answers 404/);
});

test("a peer of which we know no root fails; one that agrees on some of them warns; both digests are named", () => {
  const [a, b] = [root("a").sha256, root("b").sha256];
  const lacking = { announced: [a, b], held: [a], missing: [b] };
  assertCheck("peer west", { peers: [peer({ ...lacking, ageMs: 60_000 })] }, "warn", /as of 1m ago, and we hold/);
  assert.match(check("peer west", { peers: [peer(lacking)] }).evidence, /we lack b{16}$/);
  const foreign = peer({ announced: [b], held: [a], missing: [b] });
  assertCheck("peer west", { peers: [foreign] }, "fail", /no root of its is known here/, /--trust-bundle west\.test=/);
  const ahead = peer({ announced: [a], held: [a, b], unknownThere: [b] });
  assertCheck("peer west", { peers: [ahead] }, "warn", /it lacks b{16}/, /refused there/);
  assertCheck("peer west", { peers: [peer()] }, "ok", /2 roots, digest [0-9a-f]{16}$/m);
  assertCheck("peer west", { peers: [peer({ keptFromWorkloads: true })] }, "warn", /calls to it fail/, /MULTIROOT/);
});

test("identities without an entry, and nodes without an agent, fail with what is missing of the first", () => {
  const shown = [{ spiffeId: "spiffe://east.test/ns/shop/sa/cart", node: "node-2", why: "make an entry for it" }];
  const lacking = { census: census({ uncovered: 1, shown, bareNodes: ["node-2"] }) };
  assertCheck(
    "entries",
    lacking,
    "fail",
    /119 of 120 identities on nodes, of 131 pods; without: .*cart on node-2\nmake an/,
  );
  assertCheck(
    "node agents",
    lacking,
    "fail",
    /3 live agents for 3 nodes .*; none on node-2/,
    /spire-server agent list/,
  );
  assertCheck("entries", { census: census({ trouble: "the server is away" }) }, "warn", /the server is away/);
  assertCheck("entries", { census: { ...NO_CENSUS, trouble: "denied" } }, "unknown", /denied/);
});

test("templates that give no identities of the mesh, or miss its pods, are named with the shape that is right", () => {
  const registration = goodFacts().registration!;
  const bad = { name: "by-app", template: "spiffe://x/{{ .PodMeta.Name }}", whyNotMesh: "it gives spiffe://x/cart-0" };
  assertCheck(
    "templates",
    { registration: { ...registration, spiffeIds: [bad] } },
    "warn",
    /by-app it gives/,
    /PodSpec\.Serv/,
  );
  const pod = { namespace: "shop", name: "cart-0", spiffeId: "spiffe://east.test/ns/shop/sa/cart" };
  const uncovered = [{ ...pod, selectedBy: [{ name: "by-app", why: "it gives spiffe://x/cart-0" }] }];
  assertCheck(
    "templates",
    { registration: { ...registration, uncovered }, census: undefined },
    "warn",
    /1 pod of the mesh .*: shop\/cart-0/,
    /of by-app it gives/,
  );
  const none = { ...registration, spiffeIds: [] };
  assertCheck("templates", { registration: none, census: undefined }, "unknown", /another way/, /--spire-register/);
  assertCheck("templates", { registration: none }, "ok", /another way, and hold for every pod/);
  // Somebody has made the entry by hand.
  const isMissed = { registration: { ...registration, uncovered } };
  assertCheck("templates", isMissed, "ok", /made in another way hold for them/);
  const foreign = [{ name: "odd", template: "{{ odd }}", whyNotMesh: undefined }];
  assertCheck(
    "templates",
    { registration: { ...registration, spiffeIds: foreign } },
    "ok",
    /only SPIRE's controller .* odd/,
  );
});

test("a registrar says why it does not make entries, and which are short of something", () => {
  const of = (more: Parameters<typeof registrar>[0]) => ({
    registration: { ...goodFacts().registration!, state: registrar(more) },
  });
  assertCheck(
    "registrar",
    of({ phase: "failing", reason: "the server is away" }),
    "fail",
    /not made: the server is away/,
  );
  assertCheck(
    "registrar",
    of({ phase: "paused", reason: "SPIRE's controller does" }),
    "warn",
    /SPIRE's controller does/,
  );
  assertCheck("registrar", of({ phase: "idle" }), "ok", /another replica/);
  assertCheck("registrar", of({ refused: new Map([["id-1", "no such trust domain"]]) }), "fail", /id-1: no such trust/);
  const [waiting] = [{ id: "x" }] as unknown as ReturnType<typeof registrar>["waiting"];
  assertCheck("registrar", of({ waiting: [waiting!] }), "warn", /1 wait for an agent/);
  assertCheck("registrar", of({ held: 40 }), "warn", /40 surplus ones are held back/, /--spire-register-removals/);
  const trouble = { ...goodFacts().registration!, fileTrouble: "entries.yaml:1: ClusterSPIFFEID shop: no" };
  assertCheck("registrar", { registration: trouble }, "warn", /before holds/, /mend entries\.yaml:1: /);
});

test("delegates that have shown SVIDs are ok; of the others it is not known, and said where it stands", () => {
  const gateway = { who: "Gateway shop/waypoint", spiffeId: "spiffe://east.test/ns/shop/sa/waypoint" };
  assertCheck("delegates", { delegates: [{ ...gateway, proven: 2 }] }, "ok", /Gateway shop\/waypoint show SVIDs/);
  const unseen = { delegates: [{ ...gateway, proven: 0 }] };
  assertCheck("delegates", unseen, "unknown", /authorized_delegates .* spiffe:\/\/east\.test\/ns\/shop\/sa\/waypoint/);
});

test("who was refused in the last ten minutes is named, with why; who gave up before that is not", () => {
  const refused = { spiffeId: "spiffe://east.test/ns/shop/sa/cart", at: NOW - 30_000, why: "no entry", node: "node-2" };
  assertCheck("refusals", { refused: [refused] }, "fail", /cart on node-2\nthe last, 30s ago: no entry/);
  assertCheck("refusals", { refused: [{ ...refused, at: NOW - 601_000 }] }, "ok");
});
