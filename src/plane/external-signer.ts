import type { CsrOrder, IssuedSvid, Signer, SignerDescription } from "../ca/signer.ts";
import { MeshError } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { SpireBundles } from "../spire/bundles.ts";

/** Signs for nobody: workloads have their identities from SPIRE's agents, and whoever asks here is set up to ask wrongly. */
export class ExternalSigner implements Signer {
  readonly #bundles: SpireBundles;
  readonly #trustDomain: string;

  constructor(bundles: SpireBundles, trustDomain: string) {
    this.#bundles = bundles;
    this.#trustDomain = trustDomain;
  }

  get bundles(): SpireBundles["bundles"] {
    return this.#bundles.bundles;
  }

  get expiresAt(): number {
    return Infinity;
  }

  describe(): SignerDescription {
    const { roots } = this.#bundles;
    const unknown = { key: undefined, notAfter: undefined, chain: [] };
    return { kind: "SPIRE's agents", trustDomain: this.#trustDomain, roots, ...unknown };
  }

  issue({ identity }: CsrOrder): Promise<IssuedSvid> {
    const told =
      `SPIRE's agents issue the identities of trust domain ${this.#trustDomain}, and this control plane issues none ` +
      "(--identity external): have ztunnel, or the gateway's agent, ask SPIRE's agent on its node";
    return Promise.reject(new MeshError("denied", `${formatServiceAccountId(identity)}: ${told}`, { told }));
  }
}
