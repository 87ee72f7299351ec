import { hash } from "node:crypto";
import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import type { ClusterId } from "../../names.ts";
import type { SourceSpec } from "../policy.ts";

export type CertManagerSpec = Extract<SourceSpec, { readonly kind: "cert-manager" }>;

/** On every CertificateRequest of ours: `intermediate` or `root-probe`. */
export const PURPOSE_LABEL = "trust.causeway.dev/purpose";
const CLUSTER_LABEL = "trust.causeway.dev/cluster";

/** A CertificateRequest as it is to be made. */
export interface WantedRequest {
  /** The same for the same question, so that who asks again finds it. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** PKCS#10 in PEM. */
  readonly csr: string;
  readonly ca: boolean;
  readonly usages: readonly string[];
  readonly lifetimeMs: number;
}

/** For the intermediate of a cluster, with the key that the cluster made. */
export function intermediateRequest(
  spec: CertManagerSpec,
  { cluster, csr, lifetimeMs }: { readonly cluster: ClusterId; readonly csr: string; readonly lifetimeMs: number },
): WantedRequest {
  return {
    name: `causeway-${slug(cluster)}-${digest(spec, csr)}`,
    labels: { [PURPOSE_LABEL]: "intermediate", [CLUSTER_LABEL]: labelValue(cluster) },
    csr,
    lifetimeMs,
    ca: true,
    // As many as the request names itself, or cert-manager refuses it.
    usages: ["cert sign", "crl sign"],
  };
}

/** cert-manager has no limit of its own here; other issuers behind it may, and an hour is what its Certificates allow. */
const PROBE_LIFETIME_MS = 3_600_000;

/** For what shows the root. One is enough for all processes that ask the same issuer, whoever made it. */
export function probeRequest(spec: CertManagerSpec, csr: string): WantedRequest {
  return {
    name: `causeway-root-probe-${digest(spec)}`,
    labels: { [PURPOSE_LABEL]: "root-probe" },
    csr,
    lifetimeMs: PROBE_LIFETIME_MS,
    ca: false,
    usages: ["digital signature"],
  };
}

export function requestObject({ issuer, namespace }: CertManagerSpec, wanted: WantedRequest): object {
  const { name, labels, csr, ca, usages, lifetimeMs } = wanted;
  return {
    apiVersion: "cert-manager.io/v1",
    kind: "CertificateRequest",
    metadata: { name, namespace, labels: { "app.kubernetes.io/managed-by": "causeway", ...labels } },
    spec: {
      request: Buffer.from(csr).toString("base64"),
      issuerRef: { group: issuer.group, kind: issuer.kind, name: issuer.name },
      isCA: ca,
      usages,
      duration: `${Math.max(1, Math.floor(lifetimeMs / 1000))}s`,
    },
  };
}

/** Whether an object that is there under the name asks for the same key. */
export const asksFor = (object: KubeObject, csr: string): boolean =>
  isFields(object["spec"]) && object["spec"]["request"] === Buffer.from(csr).toString("base64");

/** Of the same purpose, and of the same cluster if it is for one. */
export const isRivalOf = ({ metadata }: KubeObject, { name, labels }: WantedRequest): boolean =>
  metadata.name !== name && Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value);

/** A name within what Kubernetes takes. */
const slug = (cluster: ClusterId): string =>
  cluster
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40);

const LABEL_CHARACTERS_MAX = 63;

const labelValue = (cluster: ClusterId): string =>
  cluster.length <= LABEL_CHARACTERS_MAX ? cluster : `${slug(cluster)}-${short(cluster)}`;

const digest = ({ issuer: { group, kind, name } }: CertManagerSpec, ...more: readonly string[]): string =>
  short(JSON.stringify([group, kind, name, ...more]));

const short = (text: string): string => hash("sha256", text, "hex").slice(0, 16);
