import { MeshError } from "../../errors.ts";
import type { Host } from "../../host.ts";
import type { KubeApi } from "../../kube/api.ts";
import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import { CLUSTER_ISSUERS, ISSUERS } from "../../kube/resource-types.ts";
import { conditionsOf } from "./conditions.ts";
import { FollowedObjects } from "./followed-objects.ts";
import { absentGroup } from "./refused-call.ts";
import type { CertManagerSpec } from "./wanted-request.ts";

const GROUP = "cert-manager.io";

/** The Issuer or ClusterIssuer that a policy names. Those of other groups are their own controllers', and not read. */
export class FollowedIssuer {
  /** As `ClusterIssuer gloo-mesh-root`. */
  readonly title: string;
  readonly #server: string;
  readonly #spec: CertManagerSpec;
  readonly #followed: FollowedObjects | undefined;

  constructor(host: Host, api: KubeApi, spec: CertManagerSpec) {
    const { issuer, namespace } = spec;
    this.#server = api.server;
    this.#spec = spec;
    this.title = issuerTitle(spec);
    const type = [CLUSTER_ISSUERS, ISSUERS].find(({ kind }) => kind === issuer.kind);
    if (issuer.group !== GROUP || type === undefined) return;
    const fieldSelector = `metadata.name=${issuer.name}`;
    const where = type.namespaced ? { namespace } : {};
    const purpose = "saying why cert-manager does not sign";
    this.#followed = new FollowedObjects(host, api, { type, fieldSelector, purpose, ...where });
  }

  start(): void {
    this.#followed?.start();
  }

  async close(): Promise<void> {
    await this.#followed?.close();
  }

  /** The same as long as nothing of it has changed; undefined if it is not known. */
  get version(): unknown {
    return this.#followed?.get(this.#spec.issuer.name)?.metadata["resourceVersion"];
  }

  /**
   * Resolves if it can be asked, as far as can be seen: where it may not be read, it is asked without.
   * @throws MeshError `absent`, `invalid` for a kind of issuer that makes no authorities for others, or `unavailable`.
   */
  async usable(over: AbortSignal): Promise<void> {
    const { issuer } = this.#spec;
    if (issuer.group === GROUP && this.#followed === undefined)
      throw new MeshError(
        "invalid",
        `${GROUP} has no kind ${issuer.kind}; set issuerRef.kind to Issuer or ClusterIssuer`,
      );
    const followed = this.#followed;
    while (followed !== undefined) {
      const { phase, synced, problem } = followed.state;
      if (phase === "absent") throw absentGroup(this.#server);
      if (phase === "forbidden") return;
      if (synced) return requireReady(followed.get(issuer.name), this.title);
      if (over.aborted)
        throw new MeshError(
          "unavailable",
          `${this.title} cannot be read: ${problem ?? "the API server has not answered yet"}`,
        );
      await followed.changed(over);
    }
  }
}

/** What these issuers sign is no authority under a root that others share. */
const UNFIT: Readonly<Record<string, string>> = {
  selfSigned: "signs each certificate with its own key, which never leaves its cluster",
  acme: "has its certificates from an ACME server, and those are never authorities",
};

function requireReady(object: KubeObject | undefined, title: string): void {
  if (object === undefined)
    throw new MeshError("absent", `${title} does not exist; create it, or mend issuerRef in the policy`);
  const { spec } = object;
  const unfit = Object.keys(UNFIT).find((kind) => isFields(spec) && spec[kind] !== undefined);
  if (unfit !== undefined)
    throw new MeshError("invalid", `${title} is of the kind ${unfit}, which ${UNFIT[unfit]}; name one of the kind ca`);
  const ready = conditionsOf(object).get("Ready");
  if (ready?.status === "True") return;
  const why = ready === undefined ? "cert-manager has not looked at it yet" : ready.message || ready.reason;
  throw new MeshError("unavailable", `${title} is not Ready: ${why}`);
}

function issuerTitle({ issuer: { group, kind, name }, namespace }: CertManagerSpec): string {
  const shown = group === GROUP ? kind : `${kind}.${group}`;
  return kind === "Issuer" ? `${shown} ${namespace}/${name}` : `${shown} ${name}`;
}
