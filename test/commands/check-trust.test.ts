import assert from "node:assert/strict";
import { createServer, type TlsOptions } from "node:tls";
import { test } from "mocha";
import { checkTrustCommand, findingsText, trustFindings } from "../../src/commands/check-trust.ts";
import { probeGateway } from "../../src/commands/gateway-probe.ts";
import type { TrustFacts } from "../../src/commands/trust-facts.ts";
import { pemBlocks } from "../../src/pem.ts";
import type { RelayView } from "../../src/relay/relay-view.ts";
import { systemClock } from "../../src/system-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { run } from "./served-mesh.ts";
import { servedPages } from "./served-pages.ts";

const NOW = systemClock.now();
const DAY_MS = 86_400_000;
const der = (pem: string): string => pemBlocks(pem, "CERTIFICATE")[0]!.toString("base64");
const root = await TestAuthority.create({ name: "CN=mesh root", notAfterMs: NOW + 3650 * DAY_MS });
const other = await TestAuthority.create({ name: "CN=other root", notAfterMs: NOW + 3650 * DAY_MS });

async function under(issuer: TestAuthority, name: string, days = 90, uris = ["spiffe://mesh.example"]) {
  return der(
    (
      await TestAuthority.create(
        { name: `CN=${name}`, pathLength: 0, notBeforeMs: NOW - 85 * DAY_MS, notAfterMs: NOW + days * DAY_MS, uris },
        issuer,
      )
    ).root,
  );
}
const [east, west, strange, ending] = await Promise.all([
  under(root, "east"),
  under(root, "west"),
  under(other, "west"),
  under(root, "east", 5),
]);

const relay = (cluster: string, chain: string, more: Partial<RelayView> = {}): RelayView => ({
  ...{ cluster, trustDomain: "mesh.example", now: NOW, manager: "trust.internal:9900", state: "connected" },
  ...{ since: NOW - 7_200_000, lastHeard: NOW - 4000, reason: "", generation: "g7", clientNotAfter: NOW + DAY_MS },
  ...{ waits: [], problems: [], restarts: [], kept: { title: "Secret istio-system/cacerts", owner: "ours" } },
  authority: { chain: [chain], roots: [der(root.root)] },
  ...more,
});
const facts = (...planes: readonly RelayView[]): TrustFacts => ({
  ...{ now: NOW, gateways: [], manager: undefined },
  planes: planes.map((view) => ({ where: view.cluster, relay: view })),
});
/** Each finding that is not ok, as `error TRUST101`. */
const wrong = (found: TrustFacts): readonly string[] =>
  trustFindings(found)
    .filter(({ level }) => level !== "ok")
    .map(({ level, code }) => `${level} ${code}`);

test("nothing is wrong with clusters that trust each other, and each thing that was looked at has a line", () => {
  const found = facts(relay("east", east), relay("west", west));
  assert.deepEqual(wrong(found), []);
  const text = findingsText(trustFindings(found)).replace(/\([0-9a-f]{8}\)/g, "(…)");
  assert.match(
    text,
    /^ok {7}TRUST101 {2}cluster east: connected to trust\.internal:9900 for 2h, last heard of 4s ago$/m,
  );
  assert.match(text, /^ok {7}TRUST301 {2}cluster west: leads to root "CN=mesh root" \(…\)$/m);
  assert.match(text, /^ok {7}TRUST305 {2}cluster west at cluster east: what it signs is taken$/m);
});

const broken: readonly [string, TrustFacts, readonly string[]][] = [
  ["a manager that is away", facts(relay("east", east, { state: "away", reason: "refused" })), ["error TRUST101"]],
  ["an order that cannot be carried out", facts(relay("east", east, { problems: ["no right"] })), ["error TRUST102"]],
  ["a client certificate that ended", facts(relay("east", east, { clientNotAfter: NOW - 1 })), ["error TRUST103"]],
  [
    "a secret that is not there",
    facts(relay("east", east, { kept: { title: "s", owner: "absent" } })),
    ["error TRUST201"],
  ],
  [
    "a secret of somebody else",
    facts(relay("east", east, { kept: { title: "s", owner: "foreign" } })),
    ["error TRUST202"],
  ],
  ["an intermediate that ends soon", facts(relay("east", ending)), ["error TRUST203"]],
  ["a chain that leads to no root", facts(relay("east", strange)), ["error TRUST301"]],
  ["another trust domain's name", facts(relay("east", east, { trustDomain: "b.example" })), ["error TRUST303"]],
  [
    "clusters under two roots",
    facts(relay("east", east), relay("west", strange, { authority: { chain: [strange], roots: [der(other.root)] } })),
    ["warning TRUST304", "error TRUST305", "error TRUST305"],
  ],
  [
    "a control plane that does not answer",
    { ...facts(), planes: [{ where: "./east", why: "gone" }] },
    ["error TRUST100"],
  ],
  ["a manager that does not answer", { ...facts(), manager: { where: "./m", why: "gone" } }, ["error TRUST500"]],
];
for (const [what, found, codes] of broken)
  test(`${what} is found by its code, with a fix`, () => {
    assert.deepEqual(wrong(found), codes);
    assert.ok(trustFindings(found).every(({ level, fix }) => level === "ok" || fix !== ""));
  });

async function probed(options: TlsOptions) {
  const pair = await root.issue(["spiffe://mesh.example/ns/gw/sa/gw"]);
  const server = createServer({ ...options, cert: pair.certificate, key: pair.key, ca: root.root });
  server.on("tlsClientError", () => {}).on("secureConnection", (socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    return { pair, found: await probeGateway(`127.0.0.1:${port}`, new AbortController().signal) };
  } finally {
    server.close();
  }
}

test("a gateway that wants a certificate presents its own first in TLS 1.3, and the check says that it asked", async () => {
  const { pair, found } = await probed({ requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" });
  assert.ok("shown" in found, JSON.stringify(found));
  assert.equal(found.asked, true);
  assert.equal(Buffer.from(found.shown[0]!).toString("base64"), der(pair.certificate));
  const open = await probed({ minVersion: "TLSv1.3" });
  assert.ok("shown" in open.found && !open.found.asked);
});

test("the command asks each control plane that is named, and ends with 1 for an error, 64 for an address that is none", async () => {
  await using one = await servedPages({ relayz: relay("east", east) });
  await using two = await servedPages({ relayz: relay("west", west, { state: "never" }) });
  const command = checkTrustCommand(systemClock);
  assert.equal((await run(command, "--admin", one.url)).code, 0);
  const both = await run(command, "--admin", one.url, "--admin", two.url, "-o", "json");
  assert.equal(both.code, 1);
  const found = JSON.parse(both.out) as { code: string; level: string; documentation: string }[];
  assert.deepEqual(
    found.filter(({ level }) => level === "error").map(({ code }) => code),
    ["TRUST101"],
  );
  assert.ok(found.every(({ code, documentation }) => documentation === `docs/trust-checks.md#${code.toLowerCase()}`));
  assert.equal((await run(command, "--admin", one.url, "--gateway", "nowhere")).code, 64);
});
