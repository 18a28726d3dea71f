/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "manager/command.h"
#include "proto/errors.h"

int command_fail(int error, const detail_t *detail)
{
    const error_info_t *info = error_info(error);
    fprintf(stderr, "userbus: %s: %s\n", info->title, detail->text);
    return info->exit_code != 0 ? info->exit_code : error_info(ERR_INTERNAL)->exit_code;
}
