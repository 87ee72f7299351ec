import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "mocha";
import { istio } from "../../proto/gen/mesh.js";
import { readCsr } from "../../src/ca/csr.ts";
import { requireOnlyName } from "../../src/ca/csr-names.ts";
import { CREATE_CERTIFICATE } from "../../src/ca/service.ts";
import { MeshError } from "../../src/errors.ts";
import { askCa } from "../../src/gateway/ask-ca.ts";
import { RootFile } from "../../src/gateway/root-file.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import { folderOf } from "../kits/folder.ts";
import { realHost } from "../kits/real-host.ts";
import { TestAuthority } from "../kits/tls.ts";

/** The request of a gateway's agent that was told this trust domain. */
async function requestOf(trustDomain: string | undefined): Promise<string> {
  const host = realHost();
  const tls = await TestAuthority.create();
  await using folder = await folderOf({ "roots.pem": tls.root });
  const token = `e30.${Buffer.from(JSON.stringify({ exp: 4e9 })).toString("base64url")}.s`;
  writeFileSync(folder.at("token"), token);
  let csr = "";
  const call = (bytes: Uint8Array): Promise<Uint8Array> => {
    ({ csr } = istio.v1.auth.IstioCertificateRequest.decode(bytes));
    return Promise.reject(new MeshError("denied", "seen"));
  };
  const { certificate: chain, key } = await tls.issue();
  const server = new GrpcServer(host, {
    name: "ca",
    methods: [{ kind: "unary", path: CREATE_CERTIFICATE, requestBytesMax: 10_000, call }],
    certificate: { chain, key, clientRoots: tls.root },
  });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  const rootFile = new RootFile(host, folder.at("roots.pem"), () => {});
  try {
    await rootFile.follow();
    const authority = {
      ...{ address: { host: "127.0.0.1", port }, serverName: undefined, tokenFile: folder.at("token") },
      ...{ cluster: "east", ttlSeconds: 0, namespace: "shop", serviceAccount: "waypoint" },
      trustDomain: () => trustDomain,
    };
    await assert.rejects(
      askCa(host, authority, rootFile, new AbortController().signal),
      /the CA gave no certificate: .*seen/,
    );
    return csr;
  } finally {
    rootFile.close();
    await server.close(0);
  }
}

test("a gateway that knows its trust domain names its identity, as SPIRE signs for none that does not; else nobody", async () => {
  const named = await requestOf("mesh.test");
  await readCsr(named, (csr) => requireOnlyName(csr, "spiffe://mesh.test/ns/shop/sa/waypoint"));
  const unnamed = await readCsr(await requestOf(undefined));
  assert.equal(unnamed.attributes?.content.length, 0);
});
