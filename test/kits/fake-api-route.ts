import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";

/** A path of an API server, taken apart. */
export interface Route {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  readonly query: URLSearchParams;
}

/** Undefined for what is no path of objects, as discovery. */
export function parseRoute(path: string): Route | undefined {
  const url = new URL(path, "https://fake");
  const parts = url.pathname.slice(1).split("/").map(decodeURIComponent);
  const core = parts[0] === "api";
  if (!core && parts[0] !== "apis") return undefined;
  const group = core ? "" : (parts[1] ?? "");
  const version = parts[core ? 1 : 2];
  const rest = parts.slice(core ? 2 : 3);
  if (version === undefined || rest.length === 0) return undefined;
  const within = rest[0] === "namespaces" && rest.length > 2 && rest[2] !== "status";
  const [plural = "", name, subresource] = within ? rest.slice(2) : rest;
  return {
    group,
    version,
    plural,
    namespace: within ? rest[1] : undefined,
    name,
    subresource,
    query: url.searchParams,
  };
}

/** Whether a list or a watch of `route` shows an object. */
export function shows({ namespace, name, query }: Route, { metadata }: KubeObject): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  if (name !== undefined && metadata.name !== name) return false;
  const facts = new Map([
    ["metadata.name", metadata.name],
    ["metadata.namespace", metadata.namespace ?? ""],
  ]);
  const labels = new Map(Object.entries(metadata.labels ?? {}));
  return matches(query.get("labelSelector"), labels) && matches(query.get("fieldSelector"), facts);
}

/** Terms `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a` and `!a`, all of which must hold. */
function matches(selector: string | null, facts: ReadonlyMap<string, string>): boolean {
  return (selector ?? "")
    .split(/,(?![^(]*\))/)
    .filter((term) => term !== "")
    .every((term) => {
      const [, among, values] = /^(\S+) in \((.*)\)$/.exec(term) ?? [];
      if (among !== undefined) return values!.split(",").includes(facts.get(among) ?? "");
      const [, key = "", operator, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? [];
      if (operator !== undefined) return (facts.get(key) === value) === (operator !== "!=");
      return term.startsWith("!") ? !facts.has(term.slice(1)) : facts.has(term);
    });
}

/** Whether a kind comes by a CRD. */
export const isCustom = ({ group }: ResourceType): boolean =>
  group === "gateway.networking.k8s.io" || (group !== "" && !group.endsWith(".k8s.io"));

/** The CRDs of the kinds there are, as far as a list of `route` shows them. */
export function crdList(route: Route, types: Iterable<ResourceType>): unknown {
  const crds = [...types].filter(isCustom).map(({ group, plural, versions }) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: { group, versions: versions.map((name) => ({ name, served: true })) },
  }));
  const items = crds.filter((crd) => shows(route, crd));
  return { kind: "CustomResourceDefinitionList", metadata: { resourceVersion: "1" }, items };
}

/** What discovery says at `path`; undefined where it says nothing. */
export function discovery(path: string, served: Iterable<ResourceType>): unknown {
  const types = [...served];
  const groups = [...new Set(types.map(({ group }) => group))].filter((group) => group !== "");
  const describe = (group: string) => {
    const versions = [...new Set(types.filter((type) => type.group === group).flatMap((type) => type.versions))].map(
      (version) => ({ groupVersion: `${group}/${version}`, version }),
    );
    return { name: group, versions, preferredVersion: versions[0] };
  };
  const { pathname } = new URL(path, "https://fake");
  if (pathname === "/version") return { major: "1", minor: "36", gitVersion: "v1.36.0" };
  if (pathname === "/readyz" || pathname === "/livez") return "ok";
  if (pathname === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (pathname === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: groups.map(describe) };
  const [, root, first, second, third] = pathname.split("/");
  if (root === "apis" && first !== undefined && second === undefined)
    return groups.includes(first) ? { kind: "APIGroup", apiVersion: "v1", ...describe(first) } : undefined;
  const [group, version, deeper] = root === "api" ? ["", first, second] : [first, second, third];
  if (deeper !== undefined) return undefined;
  const resources = types
    .filter((type) => type.group === group && type.versions.includes(version ?? ""))
    .map(({ plural, kind, namespaced }) => ({ name: plural, kind, namespaced, verbs: ["get", "list", "watch"] }));
  if (resources.length === 0) return undefined;
  return { kind: "APIResourceList", groupVersion: group === "" ? version : `${group}/${version}`, resources };
}
