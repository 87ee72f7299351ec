import { hostname, type Hostname } from "../names.ts";
import type { AliasPart, AliasPattern } from "./kube/alias-pattern.ts";
import { isHostname } from "./kube/workload-entry.ts";

/** What a shared service is called by all clusters, as `cart.shop.mesh.internal` (contract peering.md 2.7). */
export const globalHostname = (name: string, namespace: string, domain: string): Hostname =>
  hostname(`${name}.${namespace}.${domain}`);

/** What patterns can say of a service, in its own cluster or as a peer told us. */
export interface AliasSubject {
  readonly name: string;
  readonly namespace: string;
  readonly labels: { get(key: string): string | undefined };
  readonly annotations: { get(key: string): string | undefined };
}

/** The name that a pattern gives to a service, or why it gives none, as what follows "the pattern". */
export type AliasName = { readonly host: Hostname } | { readonly skipped: string };

export function aliasHostname({ parts }: AliasPattern, subject: AliasSubject): AliasName {
  let host = "";
  for (const part of parts) {
    const text = textOf(part, subject);
    if (text === undefined || text === "") return { skipped: `needs ${describe(part)}, which it does not have` };
    host += text.toLowerCase();
  }
  // A name of one label is what resolvers complete with the cluster's own domains.
  if (!isHostname(host) || host.startsWith("*") || !host.includes("."))
    return { skipped: `makes ${JSON.stringify(host.slice(0, 253))} of it, which is no host name` };
  return { host: hostname(host) };
}

function textOf(part: AliasPart, { name, namespace, labels, annotations }: AliasSubject): string | undefined {
  switch (part.kind) {
    case "text":
      return part.text;
    case "service":
      return name;
    case "namespace":
      return namespace;
    case "label":
      return labels.get(part.key);
    case "annotation":
      return annotations.get(part.key);
  }
}

const describe = (part: AliasPart): string =>
  part.kind === "label" || part.kind === "annotation" ? `the ${part.kind} ${part.key}` : part.kind;

/** True for `domain` itself and all below it. */
export const isWithin = (host: string, domain: string): boolean => host === domain || host.endsWith(`.${domain}`);
