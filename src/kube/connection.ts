import type { AddressKind } from "../address-kind.ts";

/** Text that is at hand, or a file that is read each time it is needed: kubelets and cert-manager rotate them. */
export type Material = { readonly text: string } | { readonly file: string };

/** Which API server, whom to trust there, and who we are: plain data, all of it checked, nothing of it read yet. */
export interface ClusterConnection {
  /** As `https://10.96.0.1:443`, with a path if its API lies under one; no slash at the end. */
  readonly server: string;
  /** PEM of the roots to trust; undefined for those that come with Node. */
  readonly ca: Material | undefined;
  readonly insecureSkipTlsVerify: boolean;
  /** The name that its certificate must have; undefined for the server's own. */
  readonly tlsServerName: string | undefined;
  readonly user: UserAuth;
  /** Where it may not lead, whatever its name resolves to. */
  readonly refusedAddresses: readonly AddressKind[];
}

/** What a user shows to the API server; none of it is for logs. */
export interface UserAuth {
  /** Shown in the TLS handshake. */
  readonly certificate?: { readonly certificate: Material; readonly key: Material };
  readonly login?: Login;
  /** Sent with each call, as `impersonate-user`. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

export type Login =
  | { readonly kind: "token"; readonly token: Material }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "exec"; readonly exec: ExecPlugin }
  | { readonly kind: "oidc"; readonly config: Readonly<Record<string, string>> };

/** A program that prints an ExecCredential. */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  /** What it is told about the cluster, in the API's words; undefined if it does not ask. */
  readonly cluster?: Readonly<Record<string, string | boolean>>;
}
