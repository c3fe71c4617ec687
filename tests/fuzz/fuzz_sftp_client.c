/*
 * The SFTP client and a download of a tree, on any reply bytes. Request ids count up from known
 * values, so that seeds and mutations reach them. What is downloaded goes to a temporary directory.
 */
#include "sftp_fuzz.h"

#include <nacre/transfer.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void
feed(struct nacre_transfer *transfer, const uint8_t *data, size_t length)
{
	size_t piece = data[0] == 0 ? length : data[0];
	struct nacre_transfer_event event;
	uint8_t room[4096];
	uint64_t now = 0;

	for (size_t done = 1; done < length && !nacre_transfer_finished(transfer);) {
		size_t count = length - done < piece ? length - done : piece;

		for (int i = 0; i < 64 && nacre_transfer_output(transfer, 0, NACRE_TRANSFER_SOURCE,
					      room, sizeof room, now++) > 0;
		     i++)
			;
		if (nacre_transfer_receive(transfer, 0, NACRE_TRANSFER_SOURCE,
			(struct nacre_span){data + done, count}, now) != 0)
			break;
		done += count;
		while (nacre_transfer_next_event(transfer, &event))
			;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct nacre_transfer_options options = {
	    .target_path = "out", .recursive = true, .preserve = true};
	struct nacre_transfer *transfer;
	struct nacre_sftp *sftp;

	if (length < 2 || nacre_sftp_new(&sftp) != 0)
		return 0;
	fuzz_enter_folder();
	options.source = sftp;
	if (nacre_transfer_new(&options, &transfer) == 0) {
		nacre_transfer_add(transfer, "tree/*");
		nacre_transfer_add(transfer, "file");
		feed(transfer, data, length);
		nacre_transfer_free(transfer);
	}
	nacre_sftp_free(sftp);
	fuzz_leave_folder();
	return 0;
}
