import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { ClusterConnection, ExecPlugin, Login, UserAuth } from "./connection.ts";
import type { Section } from "./kubeconfig-file.ts";
import { certificateAndKeyIn } from "./kubeconfig-material.ts";

type Server = Pick<ClusterConnection, "server" | "ca" | "tlsServerName" | "insecureSkipTlsVerify">;

/** @throws MeshError naming the field. */
export function readUser(user: Section, cluster: Server, { oidcRefresh }: { readonly oidcRefresh: boolean }): UserAuth {
  const certificate = certificateAndKeyIn(user);
  const login = readLogin(user, cluster, oidcRefresh);
  const headers = readImpersonation(user);
  return { ...(certificate && { certificate }), ...(login && { login }), ...(headers && { headers }) };
}

/** The token file counts before the token, and a token before the rest, as for kubectl. */
function readLogin(user: Section, cluster: Server, oidcRefresh: boolean): Login | undefined {
  const file = user.path("tokenFile");
  if (file !== undefined) return { kind: "token", token: { file } };
  const token = user.text("token");
  if (token !== undefined) return tokenLogin(user, "token", token);
  const exec = user.section("exec");
  if (exec !== undefined) return { kind: "exec", exec: readExec(exec, cluster) };
  const provider = user.section("auth-provider");
  if (provider !== undefined) return readProvider(provider, oidcRefresh);
  return readBasic(user);
}

/** What cannot be sent in a header is a mistake of whoever wrote it, and would fail each call. */
function tokenLogin(section: Section, field: string, text: string): Login {
  if (!/^[\x21-\x7e]+$/.test(text.trim())) throw section.refusal(field, "has characters that no token has");
  return { kind: "token", token: { text: text.trim() } };
}

function readBasic(user: Section): Login | undefined {
  const username = user.text("username");
  const password = user.text("password");
  if (username === undefined && password === undefined) return undefined;
  if (username === undefined) throw user.refusal("username", "is missing, while there is a password");
  if (password === undefined) throw user.refusal("password", "is missing, while there is a username");
  return { kind: "basic", username, password };
}

function readExec(exec: Section, cluster: Server): ExecPlugin {
  const command = exec.text("command");
  if (command === undefined) throw exec.refusal("command", "is missing");
  const apiVersion = exec.text("apiVersion") ?? "";
  if (!/^client\.authentication\.k8s\.io\/v1(beta1)?$/.test(apiVersion))
    throw exec.refusal("apiVersion", "must be client.authentication.k8s.io/v1 or v1beta1");
  if (exec.text("interactiveMode") === "Always")
    throw exec.refusal("interactiveMode", "is Always, but nobody is here to answer");
  const env = exec.sections("env").map((variable) => {
    const name = variable.text("name");
    if (name === undefined) throw variable.refusal("name", "is missing");
    return { name, value: variable.text("value") ?? "" };
  });
  return {
    apiVersion,
    // A bare name is looked for in PATH; anything else is relative to the kubeconfig, as for kubectl.
    command: command.includes("/") ? exec.path("command")! : command,
    args: exec.texts("args"),
    env,
    ...(exec.truth("provideClusterInfo") && { cluster: clusterInfo(cluster) }),
  };
}

/** Roots that lie in a file are left out: the programs that ask know the server by its URL. */
function clusterInfo({ server, ca, tlsServerName, insecureSkipTlsVerify }: Server): NonNullable<ExecPlugin["cluster"]> {
  return {
    server,
    ...(tlsServerName !== undefined && { "tls-server-name": tlsServerName }),
    ...(insecureSkipTlsVerify && { "insecure-skip-tls-verify": true }),
    ...(ca && "text" in ca && { "certificate-authority-data": Buffer.from(ca.text).toString("base64") }),
  };
}

function readProvider(provider: Section, oidcRefresh: boolean): Login {
  const name = provider.text("name") ?? "";
  if (name !== "oidc")
    throw new MeshError(
      "unsupported",
      provider.refusal("name", `is "${printable(name, 80)}", which Kubernetes has no more; only oidc is supported`)
        .message,
    );
  const config = provider.section("config");
  if (config === undefined) throw provider.refusal("config", "is missing");
  const idToken = config.text("id-token");
  if (idToken === undefined) throw config.refusal("id-token", "is missing");
  // To renew it we would call a URL that somebody else wrote (contract operations.md 4.2).
  if (!oidcRefresh) return tokenLogin(config, "id-token", idToken);
  return { kind: "oidc", config: Object.fromEntries(config.fields.map((field) => [field, config.text(field)!])) };
}

const EXTRA_MAX = 64;

function readImpersonation(user: Section): Readonly<Record<string, string | readonly string[]>> | undefined {
  const headers: Record<string, string | readonly string[]> = {};
  const as = user.text("as");
  if (as !== undefined) headers["impersonate-user"] = as;
  const uid = user.text("as-uid");
  if (uid !== undefined) headers["impersonate-uid"] = uid;
  const groups = user.texts("as-groups");
  if (groups.length > 0) headers["impersonate-group"] = groups;
  const extra = user.section("as-user-extra");
  for (const key of (extra?.fields ?? []).slice(0, EXTRA_MAX))
    headers[`impersonate-extra-${headerName(key)}`] = extra!.texts(key);
  if (Object.keys(headers).length === 0) return undefined;
  if (as === undefined) throw user.refusal("as", "is missing, while other fields say whom to impersonate");
  return headers;
}

/** Percent-encoded as Kubernetes reads it, and with nothing that a header's name cannot have. */
function headerName(key: string): string {
  const octets = [...Buffer.from(key.toLowerCase())];
  return octets
    .map((octet) => String.fromCharCode(octet))
    .map((char) => (/[a-z0-9._-]/.test(char) ? char : `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`))
    .join("");
}
