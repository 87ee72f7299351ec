import { stringify } from "yaml";
import type { AdminServer } from "../../src/admin.ts";
import { folderOf } from "../kits/folder.ts";
import { type Answer, answerJson } from "../kits/kube-server.ts";
import { type PortForwardLab, portForwardServer } from "../kits/port-forward-server.ts";
import { TestAuthority } from "../kits/tls.ts";
import { client, serve, SHOP, subscription, viewedMesh } from "./served-mesh.ts";

const authority = await TestAuthority.create();
/** Where nothing listens. */
export const DEAD_PORT = 1;

const closing: (() => unknown)[] = [];

/** Ends what the functions below have started. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0)) await close();
}

/** The admin port of a control plane with such clients. */
export async function plane(...clients: readonly string[]): Promise<AdminServer> {
  const connected = clients.map((name) => client(name, [subscription()]));
  const server = await serve(viewedMesh(SHOP, connected));
  closing.push(() => server.close());
  return server;
}

export const pod = (name: string, phase = "Running") => ({
  metadata: { name, namespace: "istio-system", labels: { app: "istiod" } },
  status: { phase },
});

/** A cluster with a pod for each port; its context has the cluster's name. */
export async function cluster(ports: Readonly<Record<string, number>>, listed?: Answer): Promise<PortForwardLab> {
  const pods = [...Object.keys(ports).map((name) => pod(name)), pod("istiod-gone", "Succeeded")];
  const lab = await portForwardServer(
    authority,
    (path) => ports[/pods\/([^/]+)\//.exec(path)![1]!]!,
    undefined,
    listed ?? ((_, response) => answerJson(response, 200, { kind: "PodList", items: pods })),
  );
  closing.push(() => lab.server[Symbol.asyncDispose]());
  return lab;
}

/** Contexts of these clusters, by name. */
export async function kubeconfigOf(labs: Readonly<Record<string, PortForwardLab>>): Promise<string> {
  const names = Object.keys(labs);
  const ca = Buffer.from(authority.root).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: names.map((name) => ({
      name,
      cluster: { server: labs[name]!.server.url, "certificate-authority-data": ca },
    })),
    users: [{ name: "ann", user: { token: "secret" } }],
    contexts: names.map((name) => ({ name, context: { cluster: name, user: "ann" } })),
    "current-context": names[0],
  };
  const folder = await folderOf({ config: stringify(config) });
  closing.push(() => folder[Symbol.asyncDispose]());
  return folder.at("config");
}
