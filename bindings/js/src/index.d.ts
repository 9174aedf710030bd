import type { Answer, Approval, Call, Command, Input, Output, Params, SignReply, SignRequest, View } from "./shapes.js";

export type * from "./shapes.js";

/** Why nothing was done. */
export class NelumboError extends Error {
  /** Stays the same in later versions, such as `bad-json` or `unknown-session`. */
  readonly code: string;
  /** What to do about it. */
  readonly remedy: string;
  /** All of it as JSON. */
  readonly text: string;
  constructor(error: { code: string; message: string; remedy: string }, text?: string);
}

/** One signer's node, without a network, a disk or a clock. Times are milliseconds. */
export interface Machine {
  /** Takes facts about the world, together, or none of them. */
  handle(monoMs: number, wallMs: number, inputs: Input[]): void;
  /** The same for JSON that is text already. */
  handleText(monoMs: number, wallMs: number, inputs: string): void;
  /** Takes a wish; gives its number, by which events answer to it. */
  command(monoMs: number, wallMs: number, command: Command): number;
  /** The same for JSON that is text already. */
  commandText(monoMs: number, wallMs: number, command: string): number;
  /** Everything that the node wants of its host, in order. */
  poll(): Output[];
  /** The same as text. */
  pollText(): string;
  /** When to give it the input `tick` if nothing else happens, in `monoMs`; never without. */
  deadline(): number | undefined;
  /** The node's state. */
  view(): View;
  /** The same as text. */
  viewText(): string;
  /** Gives its memory back. Every other call after this throws a `TypeError`. */
  free(): void;
}

/** A signing key that answers the output `sign` of a machine that has it not. */
export interface Signer {
  /** What a person is to be asked before `answer`, or null. */
  describe(request: SignRequest): Approval | null;
  /** The same with JSON as text. */
  describeText(request: string): string;
  /** Does what is asked, without asking anybody; null where nothing is to be answered. */
  answer(request: SignRequest): SignReply | null;
  /** The same with JSON as text. */
  answerText(request: string): string;
  /** Gives its memory back, and wipes the key in it. */
  free(): void;
}

/** The answer to one kind of question. */
export type AnswerTo<Question extends Call> = Extract<Answer, { type: Question["type"] }>;

/** One instance of the core. */
export interface Core {
  /**
   * `secret` is the key that signs, or, with a `signing_key` in `params`, the one that signs messages only; wipe it.
   * `seed` must be fresh for each machine, from `random32`.
   */
  readonly Machine: new (params: Params, secret: Uint8Array, seed: Uint8Array, monoMs: number, wallMs: number) => Machine;
  readonly Signer: new (secret: Uint8Array, seed: Uint8Array) => Signer;
  /** Answers what needs no machine. */
  call<Question extends Call>(question: Question): AnswerTo<Question>;
  /** The same with JSON as text. */
  callText(question: string): string;
}

/** Loads the core, once for all that call this. With a module, a new instance of it. */
export function load(module?: WebAssembly.Module): Promise<Core>;

/** 32 bytes that nobody has seen before, for a secret or a seed. */
export function random32(): Uint8Array;
