import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { after, afterEach, before, test } from "mocha";
import * as grpc from "@grpc/grpc-js";
import { requestCertificate, verifySvid } from "../../src/ca/client.ts";
import { CREATE_CERTIFICATE } from "../../src/ca/service.ts";
import type { Environment } from "../../src/command.ts";
import { loadConfig } from "../../src/config.ts";
import { ControlPlane } from "../../src/control-plane.ts";
import { MeshError } from "../../src/errors.ts";
import { clusterId } from "../../src/names.ts";
import { EmbeddedClusters } from "../../src/plane/embedded-clusters.ts";
import { type MeshIdentities, MeshTrust } from "../../src/plane/mesh-trust.ts";
import { realHost } from "../kits/real-host.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";

const east = clusterId("east");
const now = Date.now();
const manifests = join(import.meta.dirname, "..", "..", "..", "examples", "shop");
let folder = "";
let ours: TestAuthority;
let theirs: TestAuthority;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "causeway-mesh-trust-"));
  [ours, theirs] = [await TestAuthority.create("CN=ours"), await TestAuthority.create("CN=theirs")];
});
after(() => rmSync(folder, { recursive: true }));
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const configOf = (environment: Environment = {}) =>
  loadConfig({ cluster: "east", manifests: [manifests], state: join(folder, "state"), xdsPort: "0" }, environment, {
    listenAddress: "127.0.0.1",
    stateDir: "",
  });

/** What a mesh config says of identities: by default nothing. */
function saying(said: Partial<MeshIdentities> = {}): MeshIdentities {
  return { trustDomainAliases: [], caCertificates: [], jwtRules: [], ...said };
}

const rootsFor = (...trustDomains: string[]): Pick<MeshIdentities, "caCertificates"> => ({
  caCertificates: [{ roots: [derOf(theirs.root)], spiffeBundleUrl: undefined, trustDomains, certSigners: [] }],
});

function trustOf(environment: Environment = {}): MeshTrust {
  const trust = new MeshTrust(new TestHost(), configOf(environment), east);
  trust.bundles.setOwn([derOf(ours.root)]);
  return trust;
}

test("roots of caCertificates vouch for the trust domains that they name, until the mesh config says otherwise", async () => {
  const trust = trustOf();
  const verify = async (authority: TestAuthority, trustDomain: string): Promise<string> => {
    const leaf = derOf((await authority.issue([`spiffe://${trustDomain}/ns/shop/sa/cart`])).certificate);
    return trust.bundles.verify([leaf, derOf(authority.root)], "client", now).identity.trustDomain;
  };
  trust.note(saying(rootsFor("west.test", "south.test")));
  assert.equal(await verify(theirs, "west.test"), "west.test");
  assert.equal(await verify(theirs, "south.test"), "south.test");
  await assert.rejects(verify(theirs, "cluster.local"), /vouches for trust domain west\.test and south\.test only/);
  await assert.rejects(verify(ours, "west.test"), /vouches for trust domain cluster\.local only/);
  trust.note(saying(rootsFor("cluster.local")));
  assert.equal(await verify(theirs, "cluster.local"), "cluster.local");
  await assert.rejects(verify(theirs, "west.test"), /proves nobody/);
  trust.note(saying());
  await assert.rejects(verify(theirs, "cluster.local"), /"CN=theirs" is no root of its trust domain/);
});

test("roots that do not say for whom they vouch, or are for Kubernetes' own signers, vouch for nobody", () => {
  const trust = trustOf();
  trust.note(saying(rootsFor()));
  assert.deepEqual(trust.bundles.pooledRoots, [derOf(ours.root)]);
  const [named] = rootsFor("west.test").caCertificates;
  trust.note(saying({ caCertificates: [{ ...named!, certSigners: ["clusterissuers.cert-manager.io/a"] }] }));
  assert.deepEqual(trust.bundles.pooledRoots, [derOf(ours.root)]);
});

test("workloads learn a new root of our authority, even if the mesh config has named it before", () => {
  const trust = trustOf();
  const [own, next] = [derOf(ours.root), derOf(theirs.root)];
  trust.note(saying(rootsFor("cluster.local")));
  const before = trust.forWorkloads;
  assert.deepEqual(before.roots, [own]);
  assert.equal(trust.forWorkloads, before, "what is the same is not made anew for each certificate");
  trust.bundles.setOwn([own, next]);
  assert.deepEqual(trust.forWorkloads.roots, [own, next]);
});

test("aliases are other names of our trust domain, under our own roots", async () => {
  const trust = trustOf();
  trust.note(saying({ trustDomainAliases: ["old.test", "cluster.local"] }));
  assert.deepEqual([...trust.aliases], ["old.test"]);
  const leaf = derOf((await ours.issue(["spiffe://old.test/ns/shop/sa/cart"])).certificate);
  assert.equal(trust.bundles.verify([leaf], "client", now).identity.trustDomain, "old.test");
  trust.note(saying());
  assert.equal(trust.aliases.size, 0);
  assert.throws(() => trust.bundles.verify([leaf], "client", now), /vouches for trust domain cluster\.local only/);
});

test("workloads get roots of other trust domains only where the operator has said so twice", () => {
  const [single, multi] = [trustOf(), trustOf({ ISTIO_MULTIROOT_MESH: "true" })];
  const [own, other] = [derOf(ours.root), derOf(theirs.root)];
  for (const trust of [single, multi]) trust.note(saying(rootsFor("west.test", "cluster.local")));
  assert.deepEqual(single.forWorkloads, { trustDomain: "cluster.local", roots: [own] });
  assert.deepEqual(multi.forWorkloads, { trustDomain: "cluster.local", roots: [own, other] });
  multi.bundles.setOwn([other]);
  assert.deepEqual(multi.forWorkloads.roots, [other]);
  multi.bundles.setOwn([own]);
  multi.note(saying());
  assert.deepEqual(multi.forWorkloads.roots, [own]);
});

test("where SPIRE signs, workloads get its roots and not those of our authority, unless the operator has said so twice", () => {
  const [ownRoot, spires] = [derOf(ours.root), derOf(theirs.root)];
  const options = { manifests: [manifests], identity: "spire", spireServer: "unix:/run/spire.sock" };
  const trustWith = (environment: Environment): MeshTrust => {
    const config = loadConfig(options, environment, { listenAddress: "127.0.0.1", stateDir: "" });
    const trust = new MeshTrust(new TestHost(), config, east);
    trust.bundles.setOwn([ownRoot]);
    return trust;
  };
  const own = { trustDomain: "cluster.local", roots: [spires], tainted: [], sequence: 1n };
  const trust = trustWith({});
  assert.deepEqual([trust.published, trust.ownBundle, trust.forWorkloads.roots], [undefined, undefined, []]);
  trust.noteSpire({ own, federated: [] });
  assert.deepEqual([trust.published, trust.forWorkloads.roots], [[ownRoot, spires], [spires]]);
  assert.deepEqual(new Set(trust.ownBundle), new Set([ownRoot, spires]));
  const named = { roots: [ownRoot], spiffeBundleUrl: undefined, trustDomains: ["cluster.local"], certSigners: [] };
  for (const [environment, roots] of [
    [{}, [spires]],
    [{ ISTIO_MULTIROOT_MESH: "true" }, [spires, ownRoot]],
  ] as const) {
    const moving = trustWith(environment);
    moving.noteSpire({ own, federated: [] });
    moving.note(saying({ caCertificates: [named] }));
    assert.deepEqual(moving.forWorkloads.roots, roots);
  }
});

test("a trust domain that SPIRE is federated with is known by that alone until somebody else names its roots", () => {
  const trust = trustOf();
  const federated = [{ trustDomain: "far.test", roots: [derOf(theirs.root)] }];
  trust.noteSpire({ own: undefined, federated });
  assert.deepEqual(
    ["far.test", "cluster.local", "nobody.test"].map((name) => trust.isFederatedOnly(name)),
    [true, false, false],
  );
  trust.note(saying(rootsFor("far.test")));
  assert.equal(trust.isFederatedOnly("far.test"), false);
});

test("who is federated under the name of an alias of ours is not one of ours, whichever was said first", async () => {
  const leaf = derOf((await theirs.issue(["spiffe://old.test/ns/istio-system/sa/ztunnel"])).certificate);
  const held = { own: undefined, federated: [{ trustDomain: "old.test", roots: [derOf(theirs.root)] }] };
  const trust = trustOf();
  trust.noteSpire(held);
  assert.equal(trust.bundles.verify([leaf], "client", now).identity.trustDomain, "old.test");
  trust.note(saying({ trustDomainAliases: ["old.test"] }));
  assert.throws(() => trust.bundles.verify([leaf], "client", now), { code: "unauthenticated" });
  trust.noteSpire({ ...held });
  assert.throws(() => trust.bundles.verify([leaf], "client", now), { code: "unauthenticated" });
  trust.note(saying({ trustDomainAliases: ["old.test"], ...rootsFor("old.test") }));
  assert.equal(trust.bundles.verify([leaf], "client", now).identity.trustDomain, "old.test");
});

test("a rule of JWT_RULE wins over one of the mesh config for the same issuer", async () => {
  const rule = { issuer: "https://a.test", audiences: ["mine"], jwks: { keys: [] } };
  const trust = trustOf({ JWT_RULE: JSON.stringify(rule) });
  const keys = { kind: "set", keys: [] } as const;
  const jwtRules = ["https://a.test", "https://b.test"].map((issuer) => ({ issuer, audiences: ["other"], keys }));
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const verifierOf = (iss: string) =>
    trust.oidc.for({ authorization: `Bearer ${part({ alg: "ES256" })}.${part({ iss })}.AA` });
  assert.ok(verifierOf("https://a.test"));
  assert.equal(verifierOf("https://b.test"), undefined);
  const before = verifierOf("https://a.test");
  trust.note(saying({ jwtRules }));
  assert.ok(verifierOf("https://b.test"));
  assert.equal(verifierOf("https://a.test"), before);
});

/** A control plane, and how its mesh config is changed. */
async function serving(environment: Environment = {}) {
  let note: (mesh: MeshIdentities) => void = () => assert.fail("no cluster was opened");
  const plane = await ControlPlane.open(realHost(), {
    config: configOf(environment),
    openClusters: (context) => {
      note = context.noteMesh;
      return new EmbeddedClusters(context);
    },
    openToAll: false,
    debugPage: () => Promise.reject(new MeshError("absent", "no pages here")),
  });
  await plane.start(new AbortController().signal);
  cleanups.push(() => plane.close());
  const address = `127.0.0.1:${plane.ports.xds}`;
  const roots = readFileSync(plane.rootCertificateFile, "utf8");
  return { plane, note, address, roots };
}

/** Why a certificate request that shows a client certificate alone was refused; without one that counts, for want of a token. */
async function refusalOf({ plane, address, roots }: Awaited<ReturnType<typeof serving>>, shown: Pair): Promise<string> {
  const tls = grpc.credentials.createSsl(Buffer.from(roots), Buffer.from(shown.key), Buffer.from(shown.certificate));
  const client = new grpc.Client(address, tls, { "grpc.ssl_target_name_override": "istiod.istio-system.svc" });
  const same = (bytes: Buffer): Buffer => bytes;
  const error = await new Promise((resolve) => {
    client.makeUnaryRequest(CREATE_CERTIFICATE, same, same, Buffer.alloc(0), resolve);
  });
  client.close();
  assert.ok(error !== null, "it was granted");
  return String(plane.issuances.lastRefusals.at(-1)?.fields["why"]);
}

test("a control plane follows the mesh config: whose client certificates count, and what workloads trust", async () => {
  const running = await serving({ ISTIO_MULTIROOT_MESH: "true" });
  const { plane, note, address, roots } = running;
  const westerner = await theirs.issue(["spiffe://west.test/ns/istio-system/sa/ztunnel"]);
  const impostor = await theirs.issue(["spiffe://cluster.local/ns/istio-system/sa/ztunnel"]);
  const token = await plane.tokens.get(east)!.issue({ namespace: "shop", serviceAccount: "cart", pod: undefined });
  const lastElement = async (): Promise<string> => {
    const request = { address, roots, token, clusterId: "east", impersonate: undefined, ttlSeconds: 600 };
    return (await requestCertificate({ ...request, signal: new AbortController().signal })).at(-1)!;
  };
  const pemOf = (pem: string): string => pem.replace(/\s/g, "");
  assert.match(await refusalOf(running, westerner), /carries no bearer token/);
  assert.equal(pemOf(await lastElement()), pemOf(roots));
  note(saying(rootsFor("west.test")));
  assert.match(await refusalOf(running, westerner), /only callers of trust domain cluster\.local are served/);
  assert.match(await refusalOf(running, impostor), /its root vouches for trust domain west\.test only/);
  assert.equal(pemOf(await lastElement()), pemOf(roots + theirs.root));
  note(saying({ ...rootsFor("old.test"), trustDomainAliases: ["old.test"] }));
  const veteran = await theirs.issue(["spiffe://old.test/ns/istio-system/sa/ztunnel"]);
  assert.match(await refusalOf(running, veteran), /it has to ask with a token/);
  note(saying());
  assert.match(await refusalOf(running, veteran), /carries no bearer token/);
});

test("a machine with a token of an issuer that the mesh config names gets its own certificate, and nobody else's", async () => {
  const { plane, note, address, roots } = await serving();
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const issuer = "https://machines.test";
  const keys = [{ kty: "EC", kid: "one", ...(await exportJWK(publicKey)) }];
  const token = await new SignJWT({ iss: issuer, aud: "istio-ca", sub: "system:serviceaccount:istio-system:ztunnel" })
    .setProtectedHeader({ alg: "ES256", kid: "one" })
    .setExpirationTime("10m")
    .sign(privateKey);
  const request = async (impersonate?: string): Promise<string> => {
    const { signal } = new AbortController();
    const asked = { address, roots, token, clusterId: "east", impersonate, ttlSeconds: 600, signal };
    return verifySvid(await requestCertificate(asked), Date.now()).spiffeId;
  };
  const lastRefusal = () => String(plane.issuances.lastRefusals.at(-1)?.fields["why"]);
  await assert.rejects(request(), /request authenticate failure/);
  note(saying({ jwtRules: [{ issuer, audiences: ["istio-ca"], keys: { kind: "set", keys } }] }));
  assert.equal(await request(), "spiffe://cluster.local/ns/istio-system/sa/ztunnel");
  await assert.rejects(
    request("spiffe://cluster.local/ns/bookshop/sa/reviews"),
    /impersonation authentication failure/,
  );
  assert.match(lastRefusal(), /its credentials are not bound to a pod/);
  note(saying());
  await assert.rejects(request(), /request authenticate failure/);
});
