import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect, createServer, type PeerCertificate, type TLSSocket } from "node:tls";
import { test } from "mocha";
import { loadCacerts } from "../../src/ca/cacerts.ts";
import { KEY_TYPES } from "../../src/ca/key-type.ts";
import { LocalSigner } from "../../src/ca/local-signer.ts";
import { toPem } from "../../src/pem.ts";
import { caLab } from "../kits/ca-command.ts";
import { realHost } from "../kits/real-host.ts";

type Lab = Awaited<ReturnType<typeof caLab>>;

/** A workload: its key, and its chain without the root, in PEM. */
async function workload(lab: Lab, serviceAccount: string) {
  const authority = (await loadCacerts(lab.at("east"), "cluster.local", Date.now()))!;
  const signer = new LocalSigner(realHost(), authority, "cluster.local");
  const { publicKey, privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount };
  const chain = await signer.sign({ identity, publicKey, ttlSeconds: 600 }, new AbortController().signal);
  return { key: privateKey, cert: chain.map((bytes) => toPem("CERTIFICATE", bytes)).join("") };
}

/** A handshake in which each end verifies the other. @returns whom the client and the server met. */
async function handshake(client: object, server: object): Promise<readonly [string | undefined, string | undefined]> {
  const listener = createServer({ ...server, requestCert: true, minVersion: "TLSv1.3" });
  let met: string | undefined;
  listener.on("secureConnection", (socket: TLSSocket) => {
    met = socket.getPeerCertificate().subjectaltname;
    socket.end("served");
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  let shown: string | undefined;
  const checkServerIdentity = (_: string, certificate: PeerCertificate): undefined => {
    shown = certificate.subjectaltname;
  };
  const socket = connect({ ...client, port, host: "127.0.0.1", checkServerIdentity });
  try {
    let said = "";
    for await (const bytes of socket) said += String(bytes);
    assert.equal(said, "served");
    return [shown, met];
  } finally {
    socket.destroy();
    listener.close();
  }
}

// Larger keys of RSA take seconds to make, and differ in nothing that a handshake sees: ca.test.ts has them all.
for (const type of KEY_TYPES.filter((name) => name !== "rsa-3072" && name !== "rsa-4096"))
  test(`workloads under a root and an authority of ${type} meet in TLS 1.3, each verified by the other`, async function () {
    this.timeout(60_000);
    await using lab = await caLab();
    const keys = ["--key-type", type];
    assert.equal((await lab.ca("init", "--dir", "@root", ...keys)).code, 0);
    assert.equal((await lab.ca("issue", "--root", "@root", "--cluster", "e", "--dir", "@east", ...keys)).code, 0);
    const ca = readFileSync(lab.at("root/root-cert.pem"), "utf8");
    const [web, cart] = [await workload(lab, "web"), await workload(lab, "cart")];
    const id = (name: string): string => `URI:spiffe://cluster.local/ns/shop/sa/${name}`;
    assert.deepEqual(await handshake({ ...web, ca }, { ...cart, ca }), [id("cart"), id("web")]);
    assert.deepEqual(await handshake({ ...cart, ca }, { ...web, ca }), [id("web"), id("cart")]);
    // An intermediate that is not sent is one that nobody finds.
    const bare = { ...web, cert: /^.*?-----END CERTIFICATE-----\n/s.exec(web.cert)![0] };
    await assert.rejects(handshake({ ...cart, ca }, { ...bare, ca }), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  });
