internal import Posix

/// The thread that runs the transfers of a lane.
///
/// It has to block SIGPIPE: OpenSSL writes to its sockets without MSG_NOSIGNAL.
enum CurlThread {
  /// Starts the thread; one that cannot start closes the mailbox with the reason.
  static func start(_ mailbox: Mailbox, name: StaticString, idleConnections: Int) {
    let isStarted = startThread(name) {
      end(mailbox, running: serve(mailbox, idleConnections: idleConnections))
    }
    guard !isStarted else { return }
    mailbox.stop(.init(code: .unusable, message: "pthread_create: the system gives no thread"))
    end(mailbox, running: [])
  }

  /// Runs transfers until the mailbox ends, leaves no handle behind, and returns what was in flight.
  private static func serve(_ mailbox: Mailbox, idleConnections: Int) -> [Transfer] {
    do {
      let multi = try CurlMulti(idleConnections: idleConnections)
      mailbox.attach(multi.waker)
      do {
        while let commands = mailbox.take() {
          for command in commands { carryOut(command, multi) }
          for completion in try multi.perform() { completion.transfer.job.finish(completion.outcome) }
          for transfer in multi.removeSilent(at: .now) { transfer.job.finish(.failure(silent(transfer))) }
          try multi.wait()
        }
      } catch {
        mailbox.stop(.init(error))
      }
      // Before the handle goes: no other thread may wake it after that.
      mailbox.detach()
      return multi.removeAll()
    } catch {
      mailbox.stop(.init(error))
      return []
    }
  }

  private static func carryOut(_ command: Mailbox.Command, _ multi: CurlMulti) {
    switch command {
    case .start(let job):
      do {
        try multi.add(Transfer(job))
      } catch {
        job.finish(.failure(error))
      }
    case .cancel(let id):
      // Absent when it ended in the meantime.
      multi.remove(id: id)?.job.fail(.cancelled)
    case .resume(let id):
      if let completion = multi.resume(id: id) { completion.transfer.job.finish(completion.outcome) }
    }
  }

  private static func silent(_ transfer: Transfer) -> CurlError {
    let plan = transfer.job.plan
    return CurlError(
      .timedOut, call: plan.call, message: "the server sent nothing for \(plan.idleDeadline ?? .zero)")
  }

  /// Fails all that is still to be answered, and reports that nothing is left.
  static func end(_ mailbox: Mailbox, running: [Transfer]) {
    let (end, unstarted) = mailbox.drain()
    for job in running.map(\.job) + unstarted { job.fail(end) }
    mailbox.close()
  }
}
