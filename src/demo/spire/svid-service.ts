import { status } from "@grpc/grpc-js";
import Long from "long";
import { spire } from "../../../proto/gen/mesh.js";
import type { Host } from "../../host.ts";
import { downstreamCertificate } from "./authorities.ts";
import { CallError, orFail } from "./call-error.ts";
import { type NamedRequest, readNamedRequest } from "./certificate-request.ts";
import { requireDnsName, requireNoOverlap } from "./dns-name.ts";
import type { Faults } from "./faults.ts";
import { parseSpiffeId, requireWorkload, type SpiffeId, textOf } from "./identity.ts";
import type { Minter } from "./minter.ts";
import type { ServerMethod } from "./server-call.ts";
import type { SpireTrust } from "./trust.ts";

const { MintX509SvidRequest, MintX509SvidResponse, NewDownstreamX509CaRequest, NewDownstreamX509CaResponse } = spire;

const { INVALID_ARGUMENT } = status;
export interface SvidServiceOptions {
  readonly trustDomain: string;
  readonly caTtlSeconds: number;
}

/** Signs what it is asked to sign: whoever may ask has attested the workload (contract identity.md 1.4). */
export class SvidService {
  readonly #host: Host;
  readonly #trust: SpireTrust;
  readonly #minter: Minter;
  readonly #faults: () => Faults;
  readonly #options: SvidServiceOptions;

  constructor(host: Host, trust: SpireTrust, minter: Minter, faults: () => Faults, options: SvidServiceOptions) {
    this.#host = host;
    this.#trust = trust;
    this.#minter = minter;
    this.#faults = faults;
    this.#options = options;
  }

  methods(): readonly ServerMethod[] {
    const service = "/spire.api.server.svid.v1.SVID";
    return [
      { path: `${service}/MintX509SVID`, roles: ["local", "admin"], call: (request) => this.#mint(request) },
      { path: `${service}/NewDownstreamX509CA`, roles: ["downstream"], call: (request) => this.#newCa(request) },
    ];
  }

  async #mint(bytes: Uint8Array): Promise<Uint8Array> {
    const { csr, ttl } = MintX509SvidRequest.decode(bytes);
    if (csr.length === 0) throw new CallError(INVALID_ARGUMENT, "missing CSR");
    const request = orFail(INVALID_ARGUMENT, "malformed CSR", () => readNamedRequest(csr));
    if (!request.signed)
      throw new CallError(INVALID_ARGUMENT, "failed to verify CSR signature: x509: ECDSA verification failure");
    const id = this.#workloadIn(request);
    const { publicKey, subject, dns } = request;
    const order = { spiffeId: textOf(id), publicKey, subject, dns, ttlSeconds: ttl };
    const { chain, expiresAt } = await this.#minter.sign(order, this.#faults().leaf);
    const svid = { certChain: [...chain], id, expiresAt: Long.fromNumber(Math.floor(expiresAt / 1000)) };
    return MintX509SvidResponse.encode({ svid }).finish();
  }

  #workloadIn({ uris, dns }: NamedRequest): SpiffeId {
    const [uri, ...more] = uris;
    if (uri === undefined) throw new CallError(INVALID_ARGUMENT, "CSR URI SAN is required");
    if (more.length > 0) throw new CallError(INVALID_ARGUMENT, "only one URI SAN is expected");
    const id = orFail(INVALID_ARGUMENT, "CSR URI SAN is invalid", () =>
      requireWorkload(this.#options.trustDomain, parseSpiffeId(uri)),
    );
    orFail(INVALID_ARGUMENT, "CSR DNS name is invalid", () => dns.forEach(requireDnsName));
    orFail(INVALID_ARGUMENT, "CSR DNS name contains a wildcard that covers another non-wildcard name", () =>
      requireNoOverlap(dns),
    );
    return id;
  }

  /** Of the request, only the key counts. */
  #newCa(bytes: Uint8Array): Uint8Array {
    const { csr, preferredTtl } = NewDownstreamX509CaRequest.decode(bytes);
    const request = orFail(INVALID_ARGUMENT, "malformed CSR", () => readNamedRequest(csr));
    if (!request.signed)
      throw new CallError(INVALID_ARGUMENT, "invalid CSR signature: x509: ECDSA verification failure");
    const parent = this.#trust.active;
    const { trustDomain, caTtlSeconds } = this.#options;
    const ttl = preferredTtl > 0 ? preferredTtl : caTtlSeconds;
    const certificate = downstreamCertificate(this.#host, trustDomain, parent, request.publicKey, ttl);
    return NewDownstreamX509CaResponse.encode({
      caCertChain: [certificate, ...parent.chain],
      x509Authorities: [...this.#trust.own.roots],
    }).finish();
  }
}
