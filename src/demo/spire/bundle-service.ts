import Long from "long";
import { spire } from "../../../proto/gen/mesh.js";
import type { Host } from "../../host.ts";
import { faultyBundle } from "./bundle-faults.ts";
import type { Faults } from "./faults.ts";
import { type Page, pageOf } from "./page.ts";
import type { ServerMethod } from "./server-call.ts";
import type { HeldBundle, SpireTrust } from "./trust.ts";

const { Bundle, ListFederatedBundlesRequest, ListFederatedBundlesResponse } = spire;

/** Says what is trusted: our own trust domain's authorities, and those of others. */
export class BundleService {
  readonly #host: Host;
  readonly #trust: SpireTrust;
  readonly #faults: () => Faults;

  constructor(host: Host, trust: SpireTrust, faults: () => Faults) {
    this.#host = host;
    this.#trust = trust;
    this.#faults = faults;
  }

  methods(): readonly ServerMethod[] {
    const service = "/spire.api.server.bundle.v1.Bundle";
    return [
      { path: `${service}/GetBundle`, roles: ["any"], call: () => this.#own() },
      { path: `${service}/ListFederatedBundles`, roles: ["local", "admin"], call: (bytes) => this.#federated(bytes) },
    ];
  }

  async #own(): Promise<Uint8Array> {
    return Bundle.encode(message(await faultyBundle(this.#host, this.#faults(), this.#trust.own))).finish();
  }

  #federated(bytes: Uint8Array): Uint8Array {
    const { pageSize, pageToken } = ListFederatedBundlesRequest.decode(bytes);
    const all = [...this.#trust.federated.values()].sort((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
    const page: Page<HeldBundle> = pageOf(
      all,
      ({ trustDomain }) => trustDomain,
      { pageSize, pageToken },
      this.#faults(),
    );
    const bundles = page.items.map(message);
    return ListFederatedBundlesResponse.encode({ bundles, nextPageToken: page.next }).finish();
  }
}

const message = ({ trustDomain, roots, tainted, sequence }: HeldBundle): spire.IBundle => ({
  trustDomain,
  x509Authorities: roots.map((asn1) => ({ asn1, tainted: tainted.has(asn1) })),
  // None, as nobody has configured one.
  refreshHint: Long.ZERO,
  sequenceNumber: Long.fromNumber(sequence, true),
});
