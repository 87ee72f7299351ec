import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "mocha";
import { istio } from "../../proto/gen/mesh.js";
import { newCsr, requestCertificate, verifySvid } from "../../src/ca/client.ts";
import { parseCsr } from "../../src/ca/csr.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { toPem } from "../../src/pem.ts";
import { selfMadeRoot } from "../../src/ca/self-made-root.ts";
import { CREATE_CERTIFICATE } from "../../src/ca/service.ts";
import { MeshError } from "../../src/errors.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { realHost } from "../kits/real-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const never = new AbortController().signal;

let folder = "";
const servers: GrpcServer[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "causeway-ca-client-"))));
afterEach(async () => {
  rmSync(folder, { recursive: true });
  for (const server of servers.splice(0)) await server.close(0);
});

/** Asks a server that signs for the key that `keyOf` picks from a request. */
async function ask(
  keyOf: (csr: string) => Uint8Array | Promise<Uint8Array>,
  signal = never,
): Promise<readonly string[]> {
  const host = realHost();
  const authority = await selfMadeRoot(host, folder, identity.trustDomain);
  const signer = new LocalSigner(host, authority, identity.trustDomain);
  const call = async (request: Uint8Array): Promise<Uint8Array> => {
    const publicKey = await keyOf(IstioCertificateRequest.decode(request).csr);
    const chain = await signer.sign({ identity, publicKey, ttlSeconds: 600 }, never);
    const certChain = [...chain, ...authority.roots].map((bytes) => toPem("CERTIFICATE", bytes));
    return IstioCertificateResponse.encode({ certChain }).finish();
  };
  const tls = await TestAuthority.create();
  const { certificate: chain, key } = await tls.issue();
  const server = new GrpcServer(host, {
    name: "ca",
    methods: [{ kind: "unary", path: CREATE_CERTIFICATE, requestBytesMax: 10_000, call }],
    certificate: { chain, key, clientRoots: tls.root },
  });
  servers.push(server);
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  const target = { address: `127.0.0.1:${port}`, roots: tls.root, token: "t", clusterId: "east" };
  return requestCertificate({ ...target, impersonate: undefined, ttlSeconds: 600, signal });
}

test("a client gets a certificate for the key that it made, and can verify it", async () => {
  const { spiffeId } = verifySvid(await ask(parseCsr), Date.now());
  assert.equal(spiffeId, "spiffe://cluster.local/ns/shop/sa/cart");
});

test("a client does not take a certificate for another key than its own", async () => {
  await assert.rejects(
    ask(() => newCsr().publicKey),
    /no certificate for the key that was sent/,
  );
});

test("a client that is refused says why, with a code that tells what to do", async () => {
  for (const code of ["unavailable", "invalid", "exhausted"] as const)
    await assert.rejects(
      ask(() => {
        throw new MeshError(code, "not today");
      }),
      { code, message: /127.0.0.1:\d+: not today \([A-Z_]+\)/ },
    );
});

test("a client that was given up before it asked does not wait", async () => {
  await assert.rejects(ask(parseCsr, AbortSignal.abort()), MeshError);
});

test("an answer is verified as a peer would verify it", async () => {
  const [leaf, root] = await ask(parseCsr);
  const other = await TestAuthority.create("CN=other");
  const uris = ["spiffe://cluster.local/ns/shop/sa/cart"];
  const named = await TestAuthority.create({ name: "CN=root", uris });
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[leaf!], Date.now(), /lacks a chain and roots/],
    [[leaf!, other.root], Date.now(), /nobody in the answer issued certificate 1/],
    [[leaf!, root!], Date.now() + 700_000, /certificate 1 is not valid now/],
    [[root!, root!], Date.now(), /the leaf is an authority/],
    [[named.root, named.root], Date.now(), /the leaf is an authority/],
    [[(await other.issue()).certificate, other.root], Date.now(), /not exactly one URI name/],
    [[(await other.issue([...uris, ...uris])).certificate, other.root], Date.now(), /not exactly one URI name/],
    [[(await other.issue(["https://x"])).certificate, other.root], Date.now(), /does not begin with spiffe/],
  ];
  for (const [elements, now, reason] of cases) assert.throws(() => verifySvid(elements, now), reason);
});
