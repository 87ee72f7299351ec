import Long from "long";
import { spire } from "../../../proto/gen/mesh.js";
import type { Host } from "../../host.ts";
import { faultyBundle } from "./bundle-faults.ts";
import type { Faults } from "./faults.ts";
import { pageOf } from "./page.ts";
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

  /** SPIRE takes its own bundle out of pages that are cut already: one may be empty, and more follow. */
  #federated(bytes: Uint8Array): Uint8Array {
    const request = ListFederatedBundlesRequest.decode(bytes);
    const { own, federated } = this.#trust;
    const sorted = [...federated.values()].sort((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
    const keyOf = (bundle: HeldBundle): string => (bundle.trustDomain === own.trustDomain ? OWN : bundle.trustDomain);
    const { items, next } = pageOf([own, ...sorted], keyOf, request, this.#faults());
    const bundles = items.filter((bundle) => keyOf(bundle) !== OWN).map(message);
    return ListFederatedBundlesResponse.encode({ bundles, nextPageToken: next }).finish();
  }
}

/** Sorts before every name. */
const OWN = "!";

const message = ({ trustDomain, roots, tainted, sequence }: HeldBundle): spire.IBundle => ({
  trustDomain,
  x509Authorities: roots.map((asn1) => ({ asn1, tainted: tainted.has(asn1) })),
  // None, as nobody has configured one.
  refreshHint: Long.ZERO,
  sequenceNumber: Long.fromNumber(sequence, true),
});
