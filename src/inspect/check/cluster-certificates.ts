import { createHash, X509Certificate } from "node:crypto";
import { CONFIG_MAPS, SECRETS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, pageOf } from "../cluster-facts.ts";
import { secretText } from "../secret-facts.ts";
import { fieldsIn, fieldsOf, isEmbedded, systemNamespaces, textOf } from "./mesh-parts.ts";

/** What a cluster publishes as its roots, and by what it signs. Its control plane's word counts where no object has it. */
export interface ClusterCertificates {
  /** Of the ConfigMap that workloads read; of a cluster that is folders, those that its control plane gives them. */
  readonly roots: readonly X509Certificate[];
  /** The intermediate first, then what is above it; empty if neither a Secret cacerts nor the control plane says it. */
  readonly chain: readonly X509Certificate[];
  /** SHA-256 in hexadecimal of all that it trusts, for whatever trust domain, as its control plane says. */
  readonly trusted: ReadonlySet<string>;
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const SIGNERS_MAX = 8;

export function certificatesOf(facts: ClusterFacts): ClusterCertificates {
  const own = systemNamespaces(facts);
  const inSystem = ({ metadata }: { readonly metadata: { readonly namespace?: string } }): boolean =>
    own.includes(metadata.namespace ?? "");
  const maps = objectsOf(facts, CONFIG_MAPS).filter(({ metadata }) => metadata.name === "istio-ca-root-cert");
  const map = maps.find(inSystem) ?? maps[0];
  const cacerts = objectsOf(facts, SECRETS).find((secret) => secret.metadata.name === "cacerts" && inSystem(secret));
  const said = fieldsOf(pageOf(facts, "certz"));
  const signer = fieldsOf(said["signer"]);
  const bundles = fieldsOf(said["trusted"]);
  const trusted = Object.values(bundles)
    .flatMap(fieldsIn)
    .map(({ sha256 }) => textOf(sha256).replaceAll(":", "").toLowerCase());
  return {
    roots: isEmbedded(facts)
      ? readAll(bundles[textOf(signer["trust_domain"])])
      : read(textOf(fieldsOf(map?.["data"])["root-cert.pem"])),
    chain:
      cacerts === undefined
        ? readAll(signer["chain"])
        : ["ca-cert.pem", "cert-chain.pem"].flatMap((key) => read(secretText(cacerts, key))),
    trusted: new Set(trusted),
  };
}

/** What certz says of certificates, one after the other. */
const readAll = (list: unknown): readonly X509Certificate[] => fieldsIn(list).flatMap(({ pem }) => read(textOf(pem)));

function read(pem: string | undefined): readonly X509Certificate[] {
  return (pem?.match(PEM) ?? []).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}

export const sumOf = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.raw).digest("hex");

/** Why what signs in `there` is not verified by what `here` trusts; undefined if it is. */
export function whyIncompatible(
  here: ClusterCertificates,
  there: ClusterCertificates,
  now: number,
): string | undefined {
  const anchors = [...here.roots, ...there.roots.filter((root) => here.trusted.has(sumOf(root)))];
  const [intermediate] = there.chain;
  if (intermediate === undefined)
    return there.roots.some((root) => anchors.some((anchor) => sumOf(anchor) === sumOf(root)))
      ? undefined
      : "it has no cacerts Secret, and its root is another one";
  return pathFrom(intermediate, [...there.chain.slice(1), ...there.roots], anchors, now);
}

function pathFrom(
  start: X509Certificate,
  above: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: number,
): string | undefined {
  let current = start;
  for (let steps = 0; steps < SIGNERS_MAX; steps += 1) {
    if (Date.parse(current.validTo) < now) return `${nameOf(current)} has expired`;
    const root = anchors.find((anchor) => sumOf(anchor) === sumOf(current) || isIssuedBy(current, anchor));
    if (root !== undefined) return Date.parse(root.validTo) < now ? `root ${nameOf(root)} has expired` : undefined;
    const next = above.find((other) => sumOf(other) !== sumOf(current) && isIssuedBy(current, other));
    if (next === undefined) return `${nameOf(current)} was issued by ${issuerOf(current)}, which is no root there`;
    current = next;
  }
  return "its chain is longer than any that is verified";
}

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

export const nameOf = ({ subject }: X509Certificate): string =>
  subject.replace(/\n/g, ", ") || "a certificate without a name";
const issuerOf = ({ issuer }: X509Certificate): string => issuer.replace(/\n/g, ", ") || "somebody without a name";
