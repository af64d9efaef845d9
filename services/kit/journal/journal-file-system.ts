import * as fs from "node:fs";

/** The calls that a journal makes while it runs. Tests give others, to count them and to fail. */
export interface JournalFileSystem {
  /** Makes a file that must not exist. */
  create(path: string): number;
  /** May write less than asked. */
  write(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  read(path: string, buffer: Buffer, position: number): void;
  truncate(fd: number, length: number): void;
  sync(fd: number, done: (error: Error | null) => void): void;
  /** Makes created and removed names of a folder durable. */
  syncDirectory(path: string, done: (error: Error | null) => void): void;
  close(fd: number): void;
  remove(path: string): void;
}

/** The real file system. */
export const realFileSystem: JournalFileSystem = {
  create: (path) => fs.openSync(path, "wx", 0o600),
  write: (fd, buffer, offset, length, position) => fs.writeSync(fd, buffer, offset, length, position),
  read(path, buffer, position) {
    const fd = fs.openSync(path, "r");
    try {
      let done = 0;
      while (done < buffer.length) {
        const count = fs.readSync(fd, buffer, done, buffer.length - done, position + done);
        if (count === 0) {
          throw new Error(`${path} ends before the record at ${position}`);
        }
        done += count;
      }
    } finally {
      fs.closeSync(fd);
    }
  },
  truncate: (fd, length) => fs.ftruncateSync(fd, length),
  sync: (fd, done) => fs.fdatasync(fd, done),
  syncDirectory(path, done) {
    fs.open(path, "r", (openError, fd) => {
      if (openError !== null) {
        done(openError);
        return;
      }
      fs.fsync(fd, (syncError) => fs.close(fd, (closeError) => done(syncError ?? closeError ?? null)));
    });
  },
  close: (fd) => fs.closeSync(fd),
  remove: (path) => fs.rmSync(path, { force: true }),
};
