import { MeshError } from "../../errors.ts";

/** Where a Vault signs for us, as a policy's `caPath` says; paths have no slash at either end. */
export interface SigningPath {
  /** Of the PKI engine, as `pki_int`. */
  readonly mount: string;
  /** Undefined is the mount's default one. */
  readonly issuer: string | undefined;
  /** What is posted to. */
  readonly sign: string;
  /** What the policy's status is to say of it; empty if it is used as written. */
  readonly notes: readonly string[];
}

/** Also keeps dots, queries and escapes out of what becomes part of a URL. */
const PATH = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;
const PATH_CHARACTERS_MAX = 512;

/**
 * A role's path, as guide 004 has it, never makes an authority: engines sign there with CA:FALSE, whatever is asked for
 * (contract identity.md 4.1). What is meant is the mount, so its default issuer signs.
 * @throws MeshError `invalid` with the forms that there are.
 */
export function signingPath(caPath: string): SigningPath {
  const path = plainPath("caPath", caPath);
  const [, mount] = /^(.+)\/root\/sign-intermediate$/.exec(path) ?? [];
  if (mount !== undefined) return { mount, issuer: undefined, sign: path, notes: [] };
  const [, ofIssuer, issuer] = /^(.+)\/issuer\/([^/]+)\/sign-intermediate$/.exec(path) ?? [];
  if (ofIssuer !== undefined) return { mount: ofIssuer, issuer, sign: path, notes: [] };
  const [, ofRole] = /^(.+)\/sign\/[^/]+$/.exec(path) ?? [];
  if (ofRole !== undefined) return insteadOfRole(ofRole, path);
  const meant = path.replace(/\/(root|sign|sign-verbatim|issue|issuer|intermediate|roles)(\/.*)?$/, "");
  throw new MeshError(
    "invalid",
    `caPath ${path} signs no intermediates; write ${meant}/root/sign-intermediate, or ` +
      `${meant}/issuer/<name>/sign-intermediate for one of several issuers of that mount`,
  );
}

function insteadOfRole(mount: string, written: string): SigningPath {
  const sign = `${mount}/root/sign-intermediate`;
  const note =
    `caPath ${written} signs by a role, which never makes a certificate authority, so ${sign} is asked instead; ` +
    `write that as caPath, and allow it in Vault's policy`;
  return { mount, issuer: undefined, sign, notes: [note] };
}

/** @returns empty if there is none. @throws MeshError `invalid` with the form that there is. */
export function checkedRolePath(rolePath: string): string {
  if (rolePath === "") return "";
  const path = plainPath("rolePath", rolePath);
  if (/^.+\/roles\/[^/]+$/.test(path)) return path;
  throw new MeshError(
    "invalid",
    `rolePath ${path} is no role of a PKI engine; write <mount>/roles/<role>, or leave it out`,
  );
}

/** @param field as `caPath`, for the message. @throws MeshError `invalid` */
export function plainPath(field: string, written: string): string {
  const path = written.replace(/^\/?(v1\/)?/, "").replace(/\/$/, "");
  if (path.length <= PATH_CHARACTERS_MAX && PATH.test(path)) return path;
  throw new MeshError(
    "invalid",
    `${field} ${JSON.stringify(written.slice(0, 120))} is no path in Vault; write one like pki_int/root/sign-intermediate: ` +
      `letters, digits, dots, dashes and underscores between slashes`,
  );
}
