import { stringify } from "yaml";
import { messageOf } from "../errors.ts";
import { kindOfHost } from "../address-kind.ts";
import { readKubeconfig } from "../kube/kubeconfig.ts";
import { REMOTE_SECRET_LABEL } from "../registry/kube/remote-secrets.ts";

/** What whoever has the secret is to know of a cluster. */
export interface RemoteSecret {
  readonly cluster: string;
  /** `config`: for a control plane outside of the cluster that it serves, as its own kubeconfig. */
  readonly type: "remote" | "config";
  readonly name: string;
  readonly namespace: string;
  /** As `https://10.0.0.1:6443`. */
  readonly server: string;
  /** The name that its certificate has; undefined for that of the server. */
  readonly tlsServerName: string | undefined;
  /** PEM; undefined to trust what every machine trusts. */
  readonly roots: string | undefined;
  readonly user: RemoteUser;
}

export type RemoteUser =
  | { readonly token: string }
  | { readonly "auth-provider": { readonly name: string; readonly config: Readonly<Record<string, string>> } };

/** As YAML, to apply where the cluster is to be read from (contract peering.md 4.6). */
export function remoteSecretYaml(secret: RemoteSecret): string {
  const { cluster, type, name, namespace } = secret;
  const object = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name,
      namespace,
      annotations: { "networking.istio.io/cluster": cluster },
      // One that is `config` is nobody's remote cluster.
      ...(type === "remote" && { labels: { [REMOTE_SECRET_LABEL]: "true" } }),
    },
    stringData: { [type === "remote" ? cluster : "config"]: kubeconfigOf(secret) },
  };
  // Another program would fold long lines anew, and a token is one line.
  return `# Made by causeway create-remote-secret: it holds credentials.\n${stringify(object, { lineWidth: 0 })}---\n`;
}

/** What will not work as it is meant to, in sentences; empty if all is well. */
export function doubtsOf(secret: RemoteSecret): readonly string[] {
  const { type, server } = secret;
  const kind = kindOfHost(new URL(server).hostname);
  const local =
    kind === undefined
      ? []
      : [`the server ${server} means another machine wherever the secret is used: name the one to call with --server`];
  return [...local, ...(type === "remote" ? refusalOf(secret, kind === undefined ? [] : [kind]) : [])];
}

/** Our own reader knows best what it will not take. */
function refusalOf(secret: RemoteSecret, allowed: readonly string[]): readonly string[] {
  try {
    readKubeconfig(kubeconfigOf(secret), { trusted: false, allowed: new Set(allowed), source: "this kubeconfig" });
    return [];
  } catch (thrown) {
    return [`Causeway will refuse the secret as it is: ${messageOf(thrown)}`];
  }
}

function kubeconfigOf({ cluster, server, tlsServerName, roots, user }: RemoteSecret): string {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: cluster,
        cluster: {
          server,
          ...(roots !== undefined && { "certificate-authority-data": Buffer.from(roots).toString("base64") }),
          ...(tlsServerName !== undefined && { "tls-server-name": tlsServerName }),
        },
      },
    ],
    contexts: [{ name: cluster, context: { cluster, user: cluster } }],
    "current-context": cluster,
    users: [{ name: cluster, user }],
  };
  return stringify(config, { lineWidth: 0 });
}
