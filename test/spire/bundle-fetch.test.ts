import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { PeerCertificate } from "node:tls";
import { afterEach, before, test } from "mocha";
import type { InnerKind } from "../../src/address-kind.ts";
import type { BundleProfile, BundleSource } from "../../src/bundle-config.ts";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { bundleFetch } from "../../src/spire/bundle-fetch.ts";
import { writeBundleDocument } from "../../src/spire/bundle-document.ts";
import { whyNotIdentity } from "../../src/spire/shown-identity.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";

const ID = "spiffe://west.test/spire/server";
const spiffe: BundleProfile = { kind: "https_spiffe", id: ID };
const web: BundleProfile = { kind: "https_web" };

let authority: TestAuthority;
let stranger: TestAuthority;
before(async () => {
  [authority, stranger] = [await TestAuthority.create("CN=west"), await TestAuthority.create("CN=stranger")];
});
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** The URL of an endpoint that shows `pair`. */
async function serve(pair: Pair, answer: RequestListener = (_, response) => response.end("bundle")): Promise<string> {
  const server = createServer({ cert: pair.certificate, key: pair.key }, answer);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Gets what is at `url` for the trust domain west.test, of which `known` are the roots. */
function get(
  url: string,
  { profile = spiffe, rootsFile, known = [derOf(authority.root)], allowed = ["loopback"] }: Partial<Asked> = {},
): Promise<string> {
  const trust = new TrustBundles("east.test");
  trust.offer("test", [{ trustDomain: "west.test", roots: known }]);
  const source: BundleSource = { trustDomains: ["west.test"], url, profile, rootsFile };
  return bundleFetch(realHost().clock, new Set(allowed), trust)(source, new AbortController().signal);
}

interface Asked {
  readonly profile: BundleProfile;
  readonly rootsFile: string;
  readonly known: readonly Buffer[];
  readonly allowed: readonly InnerKind[];
}

test("an endpoint of https_spiffe proves itself by its SPIFFE ID, under a root of its own trust domain", async () => {
  const url = await serve(await authority.issue([ID]));
  assert.equal(await get(url), "bundle");
  await assert.rejects(get(url, { known: [derOf(stranger.root)] }), /unable to verify|self.signed|issuer/);
  await assert.rejects(get(url, { known: [] }), /of which no root is known; give its first bundle as roots=file/);
});

test("an endpoint with another SPIFFE ID, with none, or with two is refused by name", async () => {
  const other = await serve(await authority.issue(["spiffe://west.test/ns/shop/sa/cart"]));
  await assert.rejects(
    get(other),
    /it proves to be spiffe:\/\/west\.test\/ns\/shop\/sa\/cart, and must be spiffe:\/\/west/,
  );
  const both = await serve(await authority.issue([ID, "spiffe://west.test/b"]));
  await assert.rejects(get(both), /it proves to be spiffe:\/\/west\.test\/spire\/server and spiffe:\/\/west\.test\/b/);
  const none = await serve(await authority.issue());
  await assert.rejects(get(none), /it proves to be nobody of SPIFFE/);
});

test("an authority's own certificate proves nobody, whatever its name", async () => {
  const named = await TestAuthority.create({ name: "CN=ca", uris: [ID] }, authority);
  const url = await serve({ certificate: named.root, key: named.key });
  await assert.rejects(get(url), /an authority's, which proves nobody|unsuitable|purpose/);
});

test("a certificate that TLS takes and that cannot be read here refuses the endpoint, and ends no process", async () => {
  // A length in two bytes where one is enough: BER, and no DER.
  const certificate = derOf((await authority.issue([ID])).certificate);
  const odd = Buffer.concat([Buffer.of(0x30, 0x83, 0), certificate.subarray(2)]);
  assert.doesNotThrow(() => new X509Certificate(odd));
  assert.match(whyNotIdentity({ raw: odd } as PeerCertificate, ID)!.message, /^its certificate cannot be read: /);
});

test("the first bundle of an endpoint may be in a file, as PEM or as a bundle", async () => {
  const url = await serve(await authority.issue([ID]));
  const document = writeBundleDocument({ authorities: [derOf(authority.root)], sequence: 1n, refreshHintSeconds: 1 });
  await using folder = await folderOf({ "a.pem": authority.root, "a.json": document, "bad.json": "{}" });
  for (const name of ["a.pem", "a.json"])
    assert.equal(await get(url, { known: [], rootsFile: folder.at(name) }), "bundle");
  await assert.rejects(
    get(url, { known: [], rootsFile: folder.at("bad.json") }),
    /the first bundle in .*bad\.json cannot be read: it has no list of keys/,
  );
});

test("an endpoint of https_web needs a name that the web's authorities vouch for, or those in a file", async () => {
  const url = await serve(await authority.issue());
  await assert.rejects(get(url, { profile: web }), /unable to verify|self.signed|issuer/);
  await using folder = await folderOf({ "web.pem": authority.root });
  assert.equal(await get(url, { profile: web, rootsFile: folder.at("web.pem") }), "bundle");
  await assert.rejects(
    get(url, { profile: web, rootsFile: folder.at("gone.pem") }),
    /roots=.*gone\.pem cannot be read: ENOENT/,
  );
  const elsewhere = await serve(await authority.issue([ID]));
  await assert.rejects(get(elsewhere, { profile: web, rootsFile: folder.at("web.pem") }), /IP: 127\.0\.0\.1|altnames/i);
});

test("bundles are read in the internet alone, unless more is allowed, and link-local addresses never", async () => {
  let asked = 0;
  const url = await serve(await authority.issue([ID]), (_, response) => void (asked++, response.end("bundle")));
  const port = new URL(url).port;
  await assert.rejects(
    get(url, { allowed: [] }),
    /it is at this machine itself, which --trust-bundle-allow loopback allows/,
  );
  await assert.rejects(
    get(`https://localhost:${port}/`, { allowed: ["private"] }),
    /localhost resolves to .*this machine/,
  );
  await assert.rejects(
    get("https://10.1.2.3/", { allowed: ["loopback"] }),
    /a private address, which --trust-bundle-allow/,
  );
  await assert.rejects(get("https://[::ffff:192.168.0.1]/", { allowed: [] }), /it is at a private address/);
  const all: readonly InnerKind[] = ["loopback", "private"];
  await assert.rejects(get("https://169.254.169.254/latest", { allowed: all }), /link-local or metadata address$/);
  assert.equal(asked, 0);
});

test("redirects, to plain HTTP least of all, are not followed, and an answer has an end", async () => {
  const pair = await authority.issue([ID]);
  const moved = await serve(pair, (_, response) => response.writeHead(302, { location: "http://127.0.0.1/" }).end());
  await assert.rejects(get(moved), /status 302, and redirects are not followed/);
  const endless = await serve(pair, (_, response) => void response.end(Buffer.alloc(300 * 1024)));
  await assert.rejects(get(endless), /over 262144 bytes/);
  const gone = await serve(pair, (_, response) => response.writeHead(404).end());
  await assert.rejects(get(gone), /status 404/);
});
