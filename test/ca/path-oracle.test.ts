import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { test } from "mocha";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { folderOf } from "../kits/folder.ts";
import { type AuthorityShape, derOf, type Pair, TestAuthority } from "../kits/tls.ts";
import { seededRandom } from "../sim/world.ts";

const HOUR_MS = 3_600_000;
const uri = "spiffe://one.test/ns/shop/sa/cart";
const MESHES = 30;

interface Node {
  readonly authority: TestAuthority;
  readonly above: Node | undefined;
}

const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
/** What is wrong with an authority, now and then. */
const SHAPES: readonly AuthorityShape[] = [
  {},
  {},
  {},
  {},
  { pathLength: 0 },
  { pathLength: 1 },
  { ca: false },
  { purposes: [serverAuth] },
  { purposes: [serverAuth, clientAuth] },
  { usages: x509.KeyUsageFlags.cRLSign },
  { notAfterMs: Date.now() - 1000 },
];

test("OpenSSL, given the roots of the trust domain alone, agrees on chains of random forests", async function () {
  if (spawnSync("openssl", ["version"]).status !== 0) this.skip();
  await using folder = await folderOf({});
  const random = seededRandom(20_261_121);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random.next() * of.length)]!;
  const verdicts = { taken: 0, refused: 0 };
  for (let mesh = 0; mesh < MESHES; mesh += 1) {
    const nodes: Node[] = [];
    for (let at = 0; at < 7; at += 1) {
      const above = at < 2 ? undefined : pick(nodes);
      const shape = { ...(above === undefined ? {} : pick(SHAPES)), name: `CN=authority ${at}` };
      nodes.push({ authority: await TestAuthority.create(shape, above?.authority), above });
    }
    const issuer = pick(nodes.slice(2));
    const leaf = await issuer.authority.issue([uri], random.next() < 0.1 ? -1000 : HOUR_MS);
    // Now and then what leads to the root is not shown, and always something else is.
    const shown = nodes.filter((node) => leadsTo(issuer, node) !== random.next() < 0.1);
    const own = nodes[0]!;
    const why = refusalOf(leaf, shown, own);
    const oracle = openssl(folder.path, leaf, shown, own);
    assert.equal(why === undefined, oracle === "", `mesh ${mesh}: we say ${why}, and OpenSSL ${oracle}`);
    verdicts[why === undefined ? "taken" : "refused"] += 1;
  }
  assert.ok(verdicts.taken >= 5 && verdicts.refused >= 15, JSON.stringify(verdicts));
});

const leadsTo = (from: Node | undefined, to: Node): boolean =>
  from !== undefined && (from === to || leadsTo(from.above, to));

function refusalOf(leaf: Pair, shown: readonly Node[], root: Node): string | undefined {
  const bundles = new TrustBundles("one.test");
  bundles.setOwn([derOf(root.authority.root)]);
  const chain = [leaf.certificate, ...shown.map(({ authority }) => authority.root)].map(derOf);
  try {
    bundles.verify(chain, "client", Date.now());
    return undefined;
  } catch (thrown) {
    return String(thrown);
  }
}

/** What is wrong, or nothing. */
function openssl(folder: string, leaf: Pair, shown: readonly Node[], root: Node): string {
  const file = (name: string, ...certificates: readonly string[]): string => {
    writeFileSync(join(folder, name), `${certificates.join("\n")}\n`);
    return join(folder, name);
  };
  const between =
    shown.length === 0 ? [] : ["-untrusted", file("shown", ...shown.map(({ authority }) => authority.root))];
  const trust = ["-no-CApath", "-no-CAstore", "-CAfile", file("root", root.authority.root)];
  const args = ["verify", "-purpose", "sslclient", ...trust, ...between, file("leaf", leaf.certificate)];
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  return status === 0 ? "" : stdout + stderr;
}
