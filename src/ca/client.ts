import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import * as grpc from "@grpc/grpc-js";
import Long from "long";
import { istio } from "../../proto/gen/mesh.js";
import { MeshError } from "../errors.ts";
import { callError, clientChannel } from "../grpc/client-channel.ts";
import type { EpochMs } from "../host.ts";
import { EXTENSION, NAME_TAG, pathLength, readCertificate, uriNames } from "./certificate-fields.ts";
import { parseServiceAccountId } from "../spiffe.ts";
import { EXTENSION_REQUEST } from "./csr.ts";
import { bitString, contextTag, der, integer, oid, sequence, TAG } from "./der.ts";
import { pemBlocks, toPem } from "../pem.ts";
import { CREATE_CERTIFICATE } from "./service.ts";

const { IstioCertificateRequest, IstioCertificateResponse } = istio.v1.auth;

export interface CertificateRequest {
  /** `host:port` of a control plane. */
  readonly address: string;
  /** PEM of the roots to trust. */
  readonly roots: string;
  /** What the certificate of the control plane names, if that is not the host of `address`. */
  readonly serverName?: string | undefined;
  readonly token: string;
  readonly clusterId: string;
  /** Another identity to ask for, as ztunnel does for its pods; undefined for the token's own. */
  readonly impersonate: string | undefined;
  /** 0 for what the control plane gives by default. */
  readonly ttlSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Asks for a certificate for a new key, which is then forgotten. Without `impersonate` the request names nobody, and
 * SPIRE has none signed that does not name the identity.
 * @returns and @throws as `certify`.
 */
export const requestCertificate = (request: CertificateRequest): Promise<readonly string[]> =>
  certify(request, newCsr(request.impersonate));

/**
 * Asks for a certificate for a key, as ztunnel does (contract ztunnel.md 4.1). Only the request crosses the network.
 * @returns the elements of the answer, in PEM: leaf, chain, and the roots in the last.
 * @throws MeshError with what the control plane said, or `internal` if the certificate is not for that key.
 */
export async function certify(
  request: CertificateRequest,
  { csr, publicKey }: Pick<NewCsr, "csr" | "publicKey">,
): Promise<readonly string[]> {
  const { address, impersonate } = request;
  const message = IstioCertificateRequest.encode({
    csr,
    validityDuration: Long.fromNumber(request.ttlSeconds),
    metadata: impersonate === undefined ? null : { fields: { ImpersonatedIdentity: { stringValue: impersonate } } },
  }).finish();
  const { credentials, options } = clientChannel(address, request.roots, request.serverName);
  const client = new grpc.Client(address, credentials, options);
  try {
    const answer = await call(client, Buffer.from(message), request);
    const { certChain } = IstioCertificateResponse.decode(answer);
    const [leaf] = pemBlocks(certChain[0] ?? "", "CERTIFICATE");
    if (leaf !== undefined && Buffer.from(publicKey).equals(readCertificate(leaf).publicKey)) return certChain;
    throw new MeshError("internal", `${address}: the answer holds no certificate for the key that was sent`);
  } finally {
    client.close();
  }
}

function call(
  client: grpc.Client,
  message: Buffer,
  { token, clusterId, signal, address }: CertificateRequest,
): Promise<Buffer> {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  metadata.set("clusterid", clusterId);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    const pending = client.makeUnaryRequest(CREATE_CERTIFICATE, same, same, message, metadata, (error, answer) => {
      signal.removeEventListener("abort", cancel);
      if (error === null) resolve(answer!);
      else reject(callError(error, address));
    });
    const cancel = (): void => pending.cancel();
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel, { once: true });
  });
}

/** A new key, and the request that its owner signed, in PEM. */
export interface NewCsr {
  readonly csr: string;
  /** In DER. */
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

/**
 * A new P-256 key and the request that its owner signs (RFC 2986), as ztunnel makes them (contract ztunnel.md 4.1).
 * @param spiffeId its one name; none if undefined, which is enough where names in requests are ignored.
 */
export function newCsr(spiffeId?: string): NewCsr {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const attributes = spiffeId === undefined ? [] : [namesAsked(spiffeId)];
  const info = sequence(integer(Buffer.of(0)), sequence(), publicKey, der(contextTag(0, true), ...attributes));
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const csr = sequence(info, algorithm, bitString(sign("sha256", info, privateKey)));
  return { csr: toPem("CERTIFICATE REQUEST", csr), publicKey, privateKey };
}

/** The attribute extensionRequest (RFC 2985 5.4.2) with one extension, critical as there is no subject. */
function namesAsked(spiffeId: string): Buffer {
  const names = sequence(der(NAME_TAG.uri, Buffer.from(spiffeId, "latin1")));
  const critical = der(TAG.boolean, Buffer.of(0xff));
  const extension = sequence(oid(EXTENSION.subjectAltName), critical, der(TAG.octetString, names));
  return sequence(oid(EXTENSION_REQUEST), der(TAG.set, sequence(extension)));
}

/**
 * Verifies an answer as a peer would: each certificate is issued by the next, the last by a root of the last element.
 * @throws MeshError `denied` or `invalid`, saying what does not hold.
 */
export function verifySvid(
  elements: readonly string[],
  now: EpochMs,
): { readonly spiffeId: string; readonly notAfter: EpochMs; readonly roots: readonly Uint8Array[] } {
  const refuse = (why: string): MeshError => new MeshError("denied", `the certificate cannot be verified: ${why}`);
  if (elements.length < 2) throw refuse("the answer lacks a chain and roots");
  // Of all but the last element ztunnel reads only the first block.
  const chain = elements.slice(0, -1).map((pem) => pemBlocks(pem, "CERTIFICATE")[0] ?? Buffer.alloc(0));
  const roots = pemBlocks(elements.at(-1)!, "CERTIFICATE");
  const leaf = readCertificate(chain[0]!);
  for (const [at, bytes] of chain.entries()) {
    const { notBefore, notAfter } = readCertificate(bytes);
    if (notBefore > now || notAfter <= now) throw refuse(`certificate ${at + 1} is not valid now`);
    const certificate = new X509Certificate(bytes);
    const issuers = at + 1 < chain.length ? [chain[at + 1]!] : roots;
    const issued = issuers
      .map((issuer) => new X509Certificate(issuer))
      .some((issuer) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey));
    if (!issued) throw refuse(`nobody in the answer issued certificate ${at + 1}`);
  }
  if (pathLength(leaf).ca) throw refuse("the leaf is an authority");
  const [spiffeId, ...more] = uriNames(leaf);
  if (spiffeId === undefined || more.length > 0) throw refuse("the leaf has not exactly one URI name");
  parseServiceAccountId(spiffeId);
  return { spiffeId, notAfter: leaf.notAfter, roots };
}
