import { readFileSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";
import type { KubeCluster } from "./kube-lab.ts";

interface Kubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: object }[];
  readonly users: readonly { readonly name: string; readonly user: object }[];
}

/** A kubeconfig with a context for the administrator of each cluster, called as the cluster; the first is the current one. */
export function writeMergedKubeconfig(path: string, all: readonly KubeCluster[]): void {
  const parts = all.map(({ name, api }) => {
    const { clusters, users } = parse(readFileSync(api.kubeconfig, "utf8")) as Kubeconfig;
    return { name, cluster: clusters[0]!.cluster, user: users[0]!.user };
  });
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: parts.map(({ name, cluster }) => ({ name, cluster })),
    users: parts.map(({ name, user }) => ({ name, user })),
    contexts: parts.map(({ name }) => ({ name, context: { cluster: name, user: name } })),
    "current-context": parts[0]!.name,
  };
  writeFileSync(path, stringify(config), { mode: 0o600 });
}
