import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { spire } from "../../../proto/gen/mesh.js";

x509.cryptoProvider.set(globalThis.crypto);
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface RequestShape {
  readonly uris: readonly string[];
  readonly dns?: readonly string[];
  readonly subject?: string;
}

/** A PKCS#10 request by a library that is not ours, in DER, with its key in PEM. */
export async function newRequest({ uris, dns = [], subject }: RequestShape): Promise<{ csr: Buffer; key: string }> {
  const keys = (await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const names: x509.JsonGeneralNames = [
    ...uris.map((value) => ({ type: "url" as const, value })),
    ...dns.map((value) => ({ type: "dns" as const, value })),
  ];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: P256,
    ...(subject !== undefined && { name: subject }),
    extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { csr: Buffer.from(request.rawData), key };
}

export const PATH = {
  mint: "/spire.api.server.svid.v1.SVID/MintX509SVID",
  downstream: "/spire.api.server.svid.v1.SVID/NewDownstreamX509CA",
  bundle: "/spire.api.server.bundle.v1.Bundle/GetBundle",
  federated: "/spire.api.server.bundle.v1.Bundle/ListFederatedBundles",
  list: "/spire.api.server.entry.v1.Entry/ListEntries",
  create: "/spire.api.server.entry.v1.Entry/BatchCreateEntry",
  update: "/spire.api.server.entry.v1.Entry/BatchUpdateEntry",
  delete: "/spire.api.server.entry.v1.Entry/BatchDeleteEntry",
  agents: "/spire.api.server.agent.v1.Agent/ListAgents",
  workload: "/SpiffeWorkloadAPI/FetchX509SVID",
  workloadBundles: "/SpiffeWorkloadAPI/FetchX509Bundles",
  delegated: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509SVIDs",
  delegatedBundles: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509Bundles",
} as const;

export const mintRequest = (csr: Uint8Array, ttl = 0): Uint8Array =>
  spire.MintX509SvidRequest.encode({ csr, ttl }).finish();
