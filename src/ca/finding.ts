/** What is wrong with a folder. With an error it, or what it signs, is refused by somebody; a warning is for later. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly reason: string;
  readonly fix: string;
}
