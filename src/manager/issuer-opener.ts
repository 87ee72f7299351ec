import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { KubeApi } from "../kube/api.ts";
import { CertManagerIssuer } from "./cert-manager/cert-manager-issuer.ts";
import type { ObjectFeed } from "./feeds/object-feed.ts";
import type { Issuer } from "./issuer.ts";
import { openIssuer } from "./issuers/open-issuer.ts";
import type { ReadSecret } from "./issuers/secret.ts";
import type { ObjectName } from "./policy.ts";
import type { WantedSource } from "./sources.ts";
import type { TrustStore } from "./store/store.ts";
import { VaultIssuer } from "./vault/vault-issuer.ts";

export interface IssuerGround {
  readonly feed: Pick<ObjectFeed, "secret">;
  readonly store: TrustStore;
  /** Undefined in a folder. */
  readonly api: KubeApi | undefined;
}

/** Opens the issuer that a policy names. What it gives throws MeshError for a source that cannot be opened here. */
export function issuerOpener(host: Host, { feed, store, api }: IssuerGround): (wanted: WantedSource) => Issuer {
  const readSecret: ReadSecret = (name, signal) => feed.secret(name, signal);
  const parts = {
    ...{ host, store, readSecret },
    certManager: (spec: ConstructorParameters<typeof CertManagerIssuer>[2]): Issuer => {
      if (api !== undefined) return new CertManagerIssuer(host, api, spec);
      const fix = "run the trust manager in the cluster that cert-manager is in, without --manifests";
      throw new MeshError("unsupported", `cert-manager signs what its API server holds, and this is a folder: ${fix}`);
    },
    vault: (spec: ConstructorParameters<typeof VaultIssuer>[1]): Issuer =>
      new VaultIssuer(host, spec, (name, key, signal) => keyIn(readSecret, name, key, signal)),
  };
  return ({ spec, rotateRoot, graceRatio }) => openIssuer(spec, { rotateRoot, graceRatio }, parts);
}

async function keyIn(readSecret: ReadSecret, name: ObjectName, key: string, signal: AbortSignal): Promise<string> {
  const title = `Secret ${name.namespace}/${name.name}, which the policy's vault names,`;
  const found = await readSecret(name, signal);
  if (found === "absent") throw new MeshError("absent", `${title} is not there; make it, with key ${key}`);
  const text = found.get(key)?.trim() ?? "";
  if (text !== "") return text;
  throw new MeshError("absent", `${title} has nothing in key ${key}; put it there`);
}
